// The page: which channel and thread are open, and what is drawn where.

import { renderBlocks } from "./blocks.js";
import { Composer, dropZone } from "./composer.js";
import { avatar, el, icon, iconButton } from "./dom.js";
import { messageList, messageRow, redraw, statusLine } from "./messages.js";
import { openModal } from "./modal.js";
import { sidebar } from "./sidebar.js";
import { welcome } from "./welcome.js";
import { World } from "./world.js";

const [main, thread, side, shell] = ["main", "thread", "side", "shell"].map((id) => document.getElementById(id));
const view = { channel: null, root: null, tab: "messages", unread: new Set(), drafts: new Map() };
const world = new World(onchange);
let channelComposer = null;
let threadComposer = null;

world.follow = (target) => { history.pushState(null, "", target); route(); };

function onchange(kind, change) {
  if (kind === "state") return route();
  if (kind === "offline") return drawBanner(true);
  if (kind === "app") return drawBanner(false);
  if (kind === "view") return change.view.type === "modal" ? openModal(change.view, world) : drawMain();
  if (kind === "message" || kind === "deleted" || kind === "status") drawConversation(kind, change);
  if (kind === "prompts" && change.channel === view.channel) drawMain();
  return null;
}

/** Draw what a change of messages touches, and nothing else. */
function drawConversation(kind, change) {
  const root = kind === "message" ? change.message.thread_ts : change.thread_ts;
  if (kind === "message" && change.channel !== view.channel && change.message.user !== world.me) {
    view.unread.add(change.channel);
    drawSide();
  }
  if (change.channel !== view.channel) return;
  if (kind === "deleted" && change.ts === view.root) return closeThread();
  drawList();
  if (view.root && (root === view.root || change.message?.ts === view.root || change.ts === view.root)) drawReplies();
}

/** Show what the address says. */
function route() {
  const [, , channelId, permalink] = location.pathname.split("/");
  const known = world.channel(channelId) ? channelId : null;
  const first = [...world.channels.values()].find((channel) => channel.kind !== "im")?.id ?? world.direct?.id;
  const ts = permalink ? `${permalink.slice(1, -6)}.${permalink.slice(-6)}` : null;
  const message = known && ts ? world.message(known, ts) : null;
  view.channel = known ?? view.channel ?? first;
  if (!world.channel(view.channel)) view.channel = first;
  view.root = message ? message.thread_ts ?? (permalink && message.reply_count ? ts : null) : null;
  const opened = new URLSearchParams(location.search).has("open");
  if (message && opened) view.root = message.thread_ts ?? ts;
  view.unread.delete(view.channel);
  drawAll();
  if (message && !opened) flash(ts);
}

function go(channelId, root = null) {
  const path = root ? `/archives/${channelId}/p${root.replace(".", "")}?open` : `/archives/${channelId}`;
  if (channelId !== view.channel) view.tab = "messages";
  if (channelId !== view.channel && world.channel(channelId)?.kind === "im") world.do("open_app", { tab: "messages" });
  history.pushState(null, "", path);
  shell.classList.remove("side-open");
  route();
  (root ? threadComposer : channelComposer)?.focus();
}

const openThread = (ts) => go(view.channel, ts);
const closeThread = () => go(view.channel);

function drawAll() {
  drawSide();
  drawMain();
  drawThread();
  drawBanner(false);
}

function drawSide() {
  side.replaceChildren(...sidebar(world, view, {
    go, become: (user) => { view.root = null; sessionStorage.setItem("me", user); world.become(user); },
    close: () => shell.classList.remove("side-open"),
  }));
}

function channelTitle(channel) {
  if (channel.kind === "im") return [avatar(world.user(world.bot), "small"), world.user(world.bot).name];
  return [channel.kind === "private" ? icon("lock") : el("span", { class: "hash" }, "#"), channel.name];
}

function drawMain() {
  const channel = world.channel(view.channel);
  keepDraft(channelComposer);
  if (!channel) return main.replaceChildren();
  const inside = channel.members.includes(world.me);
  main.replaceChildren(
    el("header", { class: "bar" },
      iconButton("menu", "Channels", () => shell.classList.add("side-open"), "narrow-only"),
      el("h1", {}, channelTitle(channel)), el("span", { class: "topic" }, channel.topic),
      channel.kind === "im" ? tabs() : people(channel)),
    el("div", { class: "banner", id: "banner", hidden: true }),
    el("div", { class: "scroll", id: "list" }), el("div", { class: "foot", id: "foot" }));
  channelComposer = inside && !(channel.kind === "im" && view.tab === "home") ? composerFor(channel, null) : null;
  main.querySelector("#foot").append(channelComposer?.node ?? outside(channel, inside));
  drawList({ jump: true });
  drawBanner(false);
  return null;
}

function tabs() {
  if (!world.homeTab) return null;
  const tab = (name, label) => el("button", { type: "button", role: "tab", class: "tab", "aria-selected": String(view.tab === name), onclick: () => openTab(name) }, label);
  return el("div", { class: "tabs", role: "tablist" }, tab("messages", "Messages"), tab("home", "Home"));
}

function openTab(name) {
  view.tab = name;
  world.do("open_app", { tab: name });
  drawMain();
}

function people(channel) {
  const shown = channel.members.map((id) => world.user(id)).filter(Boolean);
  return el("span", { class: "people", title: shown.map((user) => user.name).join(", ") }, shown.slice(0, 4).map((user) => avatar(user, "small")), el("span", {}, String(shown.length)));
}

function outside(channel, inside) {
  if (inside) return "";
  return el("div", { class: "outside" }, el("span", {}, `You're looking at #${channel.name} from outside.`),
    el("button", { type: "button", class: "button primary", onclick: () => world.do("join", { channel: channel.id }) }, "Join"));
}

function composerFor(channel, root) {
  const key = `${world.me} ${channel.id} ${root ?? ""}`;
  const name = channel.kind === "im" ? world.user(world.bot).name : `#${channel.name}`;
  const fresh = root && channel.kind !== "im" && channel.members.includes(world.bot) ? `@${world.user(world.bot).name} ` : "";
  const composer = new Composer({
    world, channel: channel.id, threadTs: root, draft: view.drafts.get(key) ?? fresh,
    placeholder: root ? "Reply in this thread…" : `Message ${name}`,
    onsent: (ts, sent) => afterSending(channel, root, ts, sent),
  });
  composer.key = key;
  return composer;
}

/** A new file or question in a channel is talked about in its thread, so open it. */
function afterSending(channel, root, ts, { files, text }) {
  const asks = text.toLowerCase().includes(`@${world.user(world.bot).name.toLowerCase()}`);
  if (!root && (files.length || asks || channel.kind === "im")) go(channel.id, ts);
}

function keepDraft(composer) {
  if (composer?.area.value) view.drafts.set(composer.key, composer.area.value);
  else if (composer) view.drafts.delete(composer.key);
}

function drawList({ jump = false } = {}) {
  const list = main.querySelector("#list");
  const channel = world.channel(view.channel);
  if (!list || !channel) return;
  if (channel.kind === "im" && view.tab === "home") return drawHome(list);
  const options = { channel: channel.id, inThread: false, openThread };
  const messages = world.topLevel(channel.id);
  const rows = messages.length ? messageList(messages, world, options) : [];
  keepingPlace(list, jump, [welcome(channel, world, {
    empty: !messages.length, attach: () => channelComposer?.picker.click(),
    ask: (text) => { channelComposer.area.value = text; channelComposer.area.dispatchEvent(new Event("input")); channelComposer.focus(); },
  }), ...rows].filter(Boolean));
}

function drawHome(list) {
  const press = (element, value) => world.do("click", { view_id: world.home.id, action_id: element.action_id, value });
  const blocks = world.home?.blocks ?? [];
  list.replaceChildren(el("div", { class: "home" }, blocks.length ? renderBlocks(blocks, world, press) : el("p", { class: "faint" }, "The app shows nothing here yet.")));
}

function drawThread() {
  keepDraft(threadComposer);
  threadComposer = null;
  const channel = world.channel(view.channel);
  const root = view.root && world.message(view.channel, view.root);
  thread.hidden = !root;
  shell.classList.toggle("thread-open", Boolean(root));
  if (!root) return thread.replaceChildren();
  thread.replaceChildren(
    el("header", { class: "bar" }, el("h2", {}, "Thread"), el("span", { class: "topic" }, channel.kind === "im" ? world.user(world.bot).name : `#${channel.name}`), iconButton("close", "Close thread", closeThread)),
    el("div", { class: "scroll", id: "replies" }), el("div", { class: "foot", id: "thread-foot" }));
  threadComposer = channel.members.includes(world.me) ? composerFor(channel, root.ts) : null;
  thread.querySelector("#thread-foot").append(threadComposer?.node ?? "");
  drawReplies({ jump: true });
  return null;
}

function drawReplies({ jump = false } = {}) {
  const list = thread.querySelector("#replies");
  const root = world.message(view.channel, view.root);
  if (!list || !root) return;
  const options = { channel: view.channel, inThread: true, openThread };
  const replies = world.replies(view.channel, view.root);
  const status = world.status(view.channel, view.root);
  const count = replies.length ? `${replies.length} ${replies.length === 1 ? "reply" : "replies"}` : "No replies yet";
  keepingPlace(list, jump, [
    messageRow(root, world, options), el("div", { class: "rule" }, el("span", {}, count)),
    ...replies.map((reply) => messageRow(reply, world, options)),
    ...(status ? [el("div", { class: "status-row", role: "status" }, statusLine(status, world))] : [])]);
}

/** Redraw a list; whoever reads its end goes on to what is new there, from its beginning. */
function keepingPlace(list, jump, rows) {
  const follow = jump || list.scrollTop > endOf(list) - 80;
  redraw(list, rows);
  if (follow) list.scrollTop = Math.max(jump ? 0 : list.scrollTop, endOf(list));
}

/** Where a list is scrolled to its end: the last message is in sight, or its beginning if it is a long one. */
function endOf(list) {
  const last = [...list.querySelectorAll(".message")].at(-1);
  const top = last ? last.getBoundingClientRect().top - list.getBoundingClientRect().top + list.scrollTop : Infinity;
  return Math.min(top - 16, list.scrollHeight - list.clientHeight);
}

function drawBanner(offline) {
  const banner = main.querySelector("#banner");
  if (!banner) return;
  const app = world.user(world.bot)?.name ?? "The app";
  const text = offline ? "The playground stopped answering. Trying again…" : world.connected ? "" : `${app} isn't connected: what you post now reaches it when it is.`;
  banner.hidden = !text;
  banner.textContent = text;
}

function flash(ts) {
  const node = document.getElementById(`t${ts}`) ?? document.getElementById(`m${ts}`);
  if (!node) return;
  node.scrollIntoView({ block: "center" });
  node.classList.add("flash");
}

dropZone(main, () => channelComposer, () => `Drop to share in ${world.channel(view.channel)?.kind === "im" ? "this conversation" : `#${world.channel(view.channel)?.name}`}`);
dropZone(thread, () => threadComposer, () => "Drop to share in this thread");
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => event.preventDefault());
window.addEventListener("popstate", route);
document.getElementById("scrim").addEventListener("click", () => shell.classList.remove("side-open"));
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && view.root && !event.defaultPrevented && !document.querySelector("dialog[open]")) closeThread(); });
document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "";
world.become(new URLSearchParams(location.search).get("as") ?? sessionStorage.getItem("me"));
