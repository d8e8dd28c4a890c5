// Slack's blocks as page elements. `press(element, value)` is called when something is pressed.

import { el, icon } from "./dom.js";
import { channelLink, emoji, link, markdown, mention, mrkdwn } from "./text.js";

/** Render a list of blocks; kinds the page doesn't know say so. */
export function renderBlocks(blocks, world, press) {
  return blocks.map((block) => (RENDERERS[block.type] ?? unknown)(block, world, press));
}

const unknown = (block) => el("div", { class: "block faint" }, `(${block.type} block)`);

/** A text object, plain or with markup. */
function words(object, world) {
  if (!object) return "";
  return object.type === "mrkdwn" ? mrkdwn(object.text, world) : el("div", { class: "text" }, el("p", {}, withEmoji(object)));
}

const withEmoji = (object) => (object.emoji === false ? object.text : object.text.replace(/:([a-z0-9_+-]+):/g, (_, n) => emoji(n)));

const RENDERERS = {
  section: (block, world, press) => el("div", { class: "block section" },
    el("div", { class: "grow" },
      words(block.text, world),
      block.fields ? el("div", { class: "fields" }, block.fields.map((field) => words(field, world))) : null),
    block.accessory ? element(block.accessory, world, press) : null),
  header: (block) => el("h3", { class: "block" }, withEmoji(block.text)),
  divider: () => el("hr", { class: "block" }),
  markdown: (block, world) => el("div", { class: "block" }, markdown(block.text, world)),
  context: (block, world) => el("div", { class: "block context" }, block.elements.map((part) =>
    part.type === "image" ? picture(part) : words(part, world))),
  actions: (block, world, press) => el("div", { class: "block actions" }, block.elements.map((part) => element(part, world, press))),
  context_actions: (block, world, press) => el("div", { class: "block actions small" }, block.elements.map((part) => element(part, world, press))),
  rich_text: (block, world) => el("div", { class: "block text" }, block.elements.map((part) => richPart(part, world))),
  task_card: (block, world) => task(block, world),
  plan: (block, world) => el("div", { class: "block" }, el("strong", {}, block.title), (block.tasks ?? []).map((t) => task(t, world))),
  alert: (block, world) => el("div", { class: `block alert ${block.level ?? "default"}` }, words(block.text, world)),
  image: (block) => picture(block),
  table: (block, world) => el("div", { class: "table" }, el("table", {}, el("tbody", {}, block.rows.map((row) =>
    el("tr", {}, row.map((cell) => el("td", {}, cell.elements ? cell.elements.map((p) => richPart(p, world)) : cell.text ?? ""))))))),
  container: (block, world, press) => el("details", { class: "block container", open: !block.default_collapsed },
    el("summary", {}, block.title?.text ?? ""), renderBlocks(block.child_blocks ?? [], world, press)),
  input: (block) => input(block),
};

// No picture is ever fetched from elsewhere: its description stands in.
const picture = (block) => el("span", { class: "faint" }, `[${block.alt_text ?? "image"}]`);

function element(part, world, press) {
  if (part.type === "button") return button(part, press);
  if (part.type === "feedback_buttons") return feedback(part, press);
  if (part.type === "icon_button") return el("button", { type: "button", class: "button quiet", onclick: () => press(part, part.value) }, icon("trash"), part.text?.text ?? "");
  if (part.type === "static_select") return select(part, press);
  if (part.type === "image") return picture(part);
  return el("span", { class: "faint" }, `(${part.type})`);
}

function button(part, press) {
  const act = async () => {
    if (!part.confirm || (await confirmed(part.confirm))) press(part, part.value);
    if (part.url) window.open(new URL(part.url, location.origin).href, "_blank", "noopener");
  };
  return el("button", { type: "button", class: `button ${part.style ?? ""}`, onclick: act }, withEmoji(part.text));
}

function feedback(part, press) {
  const sides = [["positive_button", "up"], ["negative_button", "down"]].map(([side, name]) => {
    const choice = part[side];
    const node = el("button", { type: "button", class: "button quiet", title: choice.text.text, "aria-label": choice.text.text, "aria-pressed": "false" }, icon(name));
    node.addEventListener("click", () => {
      for (const other of sides) other.setAttribute("aria-pressed", String(other === node));
      press(part, choice.value);
    });
    return node;
  });
  return el("span", { class: "feedback" }, sides);
}

function select(part, press) {
  const node = el("select", { class: "select", "aria-label": part.placeholder?.text ?? "Choose" },
    el("option", { value: "" }, part.placeholder?.text ?? "Choose…"),
    (part.options ?? []).map((option) => el("option", { value: option.value }, option.text.text)));
  node.addEventListener("change", () => node.value && press(part, node.value));
  return node;
}

/** Ask "are you sure" in the app's words. */
function confirmed(ask) {
  const dialog = document.getElementById("dialog");
  return new Promise((resolve) => {
    const answer = (yes) => () => { dialog.close(); resolve(yes); };
    dialog.replaceChildren(
      el("h3", {}, ask.title.text), el("p", {}, ask.text.text),
      el("div", { class: "dialog-buttons" },
        el("button", { type: "button", class: "button", onclick: answer(false) }, ask.deny?.text ?? "Cancel"),
        el("button", { type: "button", class: `button ${ask.style ?? "primary"}`, onclick: answer(true) }, ask.confirm?.text ?? "Yes")));
    dialog.addEventListener("cancel", () => resolve(false), { once: true });
    dialog.showModal();
  });
}

const RICH = {
  rich_text_section: (part, world) => el("p", {}, richElements(part.elements, world)),
  rich_text_quote: (part, world) => el("blockquote", {}, richElements(part.elements, world)),
  rich_text_preformatted: (part, world) => el("pre", {}, richElements(part.elements, world)),
  rich_text_list: (part, world) => el(part.style === "ordered" ? "ol" : "ul", {},
    part.elements.map((item) => el("li", {}, richElements(item.elements, world)))),
};

const richPart = (part, world) => (RICH[part.type] ?? (() => ""))(part, world);

function richElements(elements, world) {
  return elements.map((part) => styled(plainRich(part, world), part.style));
}

function plainRich(part, world) {
  if (part.type === "text") return broken(part.text);
  if (part.type === "link") return link(part.url, part.text, world);
  if (part.type === "user") return mention(part.user_id, world);
  if (part.type === "channel") return channelLink(part.channel_id, world);
  if (part.type === "emoji") return emoji(part.name);
  if (part.type === "broadcast") return el("span", { class: "mention" }, `@${part.range}`);
  return part.fallback ?? "";
}

const broken = (text) => text.split("\n").flatMap((line, index) => (index ? [el("br"), line] : [line]));

function styled(node, style = {}) {
  const tags = { bold: "strong", italic: "em", strike: "s", code: "code" };
  return Object.entries(tags).reduce((inner, [name, tag]) => (style[name] ? el(tag, {}, inner) : inner), node);
}

/** One step of the work behind an answer. */
export function task(card, world) {
  const detail = (value) => (!value ? null : typeof value === "string" ? mrkdwn(value, world) : value.elements?.map((p) => richPart(p, world)));
  return el("div", { class: `task ${card.status ?? "pending"}` },
    el("span", { class: "task-sign", "aria-hidden": "true" }, card.status === "complete" ? icon("check") : ""),
    el("div", { class: "grow" }, el("div", {}, card.title), detail(card.details), detail(card.output),
      card.sources?.length ? el("div", { class: "context" }, card.sources.map((source) => link(source.url, source.text, world))) : null));
}

function input(block) {
  const part = block.element ?? {};
  const control = part.type === "static_select" ? select(part, () => {})
    : el(part.multiline ? "textarea" : "input", { class: "field", placeholder: part.placeholder?.text, value: part.initial_value ?? "" });
  control.dataset.blockId = block.block_id ?? "";
  control.dataset.actionId = part.action_id ?? "";
  control.dataset.kind = part.type ?? "";
  return el("label", { class: "block input" }, el("span", {}, block.label.text), control,
    block.hint ? el("span", { class: "faint" }, block.hint.text) : null, el("span", { class: "problem" }));
}

