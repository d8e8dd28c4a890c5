// One message as people see it.

import { renderBlocks, task } from "./blocks.js";
import { avatar, clock, day, el, icon, iconButton, size, toast } from "./dom.js";
import { emoji, markdown, mrkdwn } from "./text.js";

const GROUP_S = 300;

/** A list of messages, with days between them and an author's name once per run. */
export function messageList(messages, world, options) {
  const rows = [];
  let before = null;
  for (const message of messages) {
    if (!before || day(before.ts) !== day(message.ts)) rows.push(el("div", { class: "day" }, el("span", {}, day(message.ts))));
    rows.push(messageRow(message, world, { ...options, joined: joins(before, message) }));
    before = message;
  }
  return rows;
}

function joins(before, message) {
  return Boolean(before) && before.user === message.user && day(before.ts) === day(message.ts)
    && !before.reply_count && !before.ephemeral && !message.ephemeral && message.ts - before.ts < GROUP_S;
}

/** One message. `options`: channel, inThread, joined, openThread. */
export function messageRow(message, world, options) {
  const author = world.user(message.user);
  const classes = ["message", options.joined && "joined", message.ephemeral && "ephemeral"].filter(Boolean).join(" ");
  const row = el("article", { class: classes, id: `${options.inThread ? "t" : "m"}${message.ts}`, dataset: { ts: message.ts } },
    el("div", { class: "gutter" }, options.joined ? el("time", {}, clock(message.ts)) : avatar(author)),
    el("div", { class: "body" },
      message.ephemeral ? el("div", { class: "only-you" }, icon("lock"), "Only visible to you") : null,
      options.joined ? null : heading(message, author),
      content(message, world, options),
      files(message),
      reactions(message, world, options),
      options.inThread ? null : threadSummary(message, world, options)),
    tools(message, world, options));
  row.shows = JSON.stringify([message, options, world.me, options.inThread ? null : world.status(options.channel, message.ts)]);
  return row;
}

/** Put rows into a list. One that shows what it showed stays the same element: a click on it under way still counts. */
export function redraw(list, rows) {
  const before = new Map([...list.children].map((row) => [row.id, row]));
  const after = rows.map((row) => (row.shows && before.get(row.id)?.shows === row.shows ? before.get(row.id) : row));
  for (const row of [...list.children]) if (!after.includes(row)) row.remove();
  after.forEach((row, at) => { if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null); });
}

function heading(message, author) {
  return el("header", { class: "byline" },
    el("strong", {}, author?.name ?? "Somebody"),
    author?.is_bot ? el("span", { class: "badge" }, "APP") : null,
    author?.kind === "guest" ? el("span", { class: "badge" }, "GUEST") : null,
    el("time", {}, clock(message.ts)));
}

function content(message, world, options) {
  const press = (element, value) => world.do("click", { channel: options.channel, ts: message.ts, action_id: element.action_id, value });
  const byPerson = !world.user(message.user)?.is_bot;
  const streamed = Boolean(message.streaming_state);
  const parts = [];
  if (message.plan_title) parts.push(el("strong", { class: "block" }, message.plan_title));
  parts.push(...(message.tasks ?? []).map((card) => task(card, world)));
  if (streamed) parts.push(el("div", { class: message.streaming_state === "in_progress" ? "block writing" : "block" }, markdown(message.text, world)));
  else if (byPerson || !message.blocks?.length) parts.push(message.text ? mrkdwn(message.text, world) : null);
  if (!byPerson) parts.push(...renderBlocks(message.blocks ?? [], world, press));
  if (message.edited && byPerson) parts.push(el("span", { class: "faint" }, "(edited)"));
  return parts;
}

function files(message) {
  return (message.files ?? []).map((file) => el("a", { class: "file", href: file.permalink, download: file.name, title: `Save ${file.name}` },
    el("span", { class: `file-kind ${file.filetype}` }, icon("file")),
    el("span", { class: "file-words" }, el("span", { class: "file-name" }, file.name), el("span", { class: "faint" }, `${file.pretty_type} · ${size(file.size)}`))));
}

function reactions(message, world, options) {
  if (!message.reactions?.length) return null;
  return el("div", { class: "reactions" }, message.reactions.map((one) => el("button", {
    type: "button", class: "reaction", "aria-pressed": String(one.users.includes(world.me)),
    title: one.users.map((id) => world.user(id)?.name ?? id).join(", "),
    onclick: () => world.do("react", { channel: options.channel, ts: message.ts, name: one.name }),
  }, emoji(one.name), el("span", {}, String(one.count)))));
}

function threadSummary(message, world, options) {
  const status = world.status(options.channel, message.ts);
  if (!message.reply_count && !status) return null;
  const people = (message.reply_users ?? []).slice(0, 3).map((id) => avatar(world.user(id), "tiny"));
  const count = message.reply_count ? `${message.reply_count} ${message.reply_count === 1 ? "reply" : "replies"}` : "";
  return el("button", { type: "button", class: "summary", onclick: () => options.openThread(message.ts) },
    people, count ? el("span", { class: "summary-count" }, count) : null,
    status ? statusLine(status, world) : el("span", { class: "faint" }, `Last at ${clock(message.latest_reply)}`));
}

/** "Recollect is reading handbook.pdf…", with dots that move. */
export function statusLine(status, world) {
  const name = world.user(world.bot)?.name ?? "The app";
  const line = status.loading_messages?.[0] ?? (/^(?:is|are|has)\b/.test(status.status) ? `${name} ${status.status}` : status.status);
  return el("span", { class: "status" }, el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i")), line);
}

function tools(message, world, options) {
  const mine = message.user === world.me;
  const at = { channel: options.channel, ts: message.ts };
  if (message.ephemeral) return el("div", { class: "tools" }, iconButton("close", "Dismiss", () => world.do("delete", at)));
  return el("div", { class: "tools" },
    iconButton("up", "React with 👍", () => world.do("react", { ...at, name: "+1" })),
    options.inThread ? null : iconButton("reply", "Reply in thread", () => options.openThread(message.ts)),
    iconButton("link", "Copy link", () => copy(`${location.origin}/archives/${options.channel}/p${message.ts.replace(".", "")}`)),
    message.streaming_state === "in_progress" ? iconButton("stop", "Stop", () => world.do("stop", at)) : null,
    mine ? iconButton("trash", "Delete", () => world.do("delete", at)) : null);
}

async function copy(text) {
  await navigator.clipboard.writeText(text);
  toast("Link copied.");
}
