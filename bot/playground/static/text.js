// Slack's mrkdwn, and Markdown, turned into page elements. What isn't understood stays text.

import { el } from "./dom.js";

const EMOJI = {
  "+1": "👍", thumbsup: "👍", "-1": "👎", thumbsdown: "👎", eyes: "👀", white_check_mark: "✅", heavy_check_mark: "✔️",
  warning: "⚠️", page_facing_up: "📄", books: "📚", mag: "🔍", wave: "👋", tada: "🎉", hourglass_flowing_sand: "⏳",
  x: "❌", bulb: "💡", speech_balloon: "💬", lock: "🔒", wastebasket: "🗑️", heart: "❤️", pray: "🙏", sparkles: "✨",
};

/** The character for an emoji's name, or `:name:`. */
export const emoji = (name) => EMOJI[name] ?? `:${name}:`;

const unescape = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

/** A link that can only lead to the web or to this page; anything else is left as words. */
export function link(url, label, world) {
  let target;
  try {
    target = new URL(url, url.startsWith("/archives/") ? location.origin : undefined);
  } catch {
    return el("span", {}, label || url);
  }
  if (!["http:", "https:", "mailto:"].includes(target.protocol)) return el("span", {}, label || url);
  const inside = target.origin === location.origin && target.pathname.startsWith("/archives/");
  const follow = inside ? (event) => { event.preventDefault(); world.follow(target); } : null;
  const away = inside ? {} : { target: "_blank", rel: "noopener noreferrer" };
  return el("a", { href: target.href, ...(follow ? { onclick: follow } : {}), ...away }, label || url);
}

/** Somebody's name as a mention. */
export function mention(userId, world) {
  const user = world.user(userId);
  const mine = userId === world.me || user?.is_bot;
  return el("span", { class: mine ? "mention mine" : "mention" }, `@${user?.name ?? userId}`);
}

/** A channel's name as a link to it. */
export function channelLink(channelId, world) {
  const channel = world.channel(channelId);
  return channel ? link(`/archives/${channelId}`, `#${channel.name}`, world) : el("span", { class: "mention" }, "#private");
}

function mark(inside, world) {
  const [target, label] = inside.split("|", 2);
  if (target.startsWith("@")) return mention(target.slice(1), world);
  if (target.startsWith("#")) return channelLink(target.slice(1), world);
  if (target.startsWith("!date^")) return label ?? "";
  if (target.startsWith("!")) return el("span", { class: "mention" }, `@${target.slice(1)}`);
  return link(unescape(target), label ? unescape(label) : unescape(target), world);
}

// Each rule: a pattern that starts a piece, and what the piece becomes.
const MRKDWN = [
  [/<([^<>\n]+)>/y, (m, world) => mark(m[1], world)],
  [/`([^`\n]+)`/y, (m) => el("code", {}, unescape(m[1]))],
  [/\*(?=\S)([^*\n]+?)(?<=\S)\*(?!\w)/y, (m, world) => el("strong", {}, inline(m[1], world, MRKDWN))],
  [/_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)/y, (m, world) => el("em", {}, inline(m[1], world, MRKDWN))],
  [/~(?=\S)([^~\n]+?)(?<=\S)~(?!\w)/y, (m, world) => el("s", {}, inline(m[1], world, MRKDWN))],
  [/:([a-z0-9_+-]+):/y, (m) => emoji(m[1])],
];

const MARKDOWN = [
  [/\\([\\`*_{}[\]()#+\-.!~|<>&@:])/y, (m) => m[1]],
  [/&(amp|lt|gt|quot|#\d{1,6});/y, (m) => entity(m[1])],
  [/<([@#!][^<>\n]+|https?:\/\/[^<>\s]+)>/y, (m, world) => mark(m[1], world)],
  [/`([^`\n]+)`/y, (m) => el("code", {}, m[1])],
  [/\[([^\]\n]+)\]\((\S+?)\)/y, (m, world) => link(m[2], m[1].replace(/\\(.)/g, "$1"), world)],
  [/\*\*(?=\S)(.+?)(?<=\S)\*\*/y, (m, world) => el("strong", {}, inline(m[1], world, MARKDOWN))],
  [/__(?=\S)(.+?)(?<=\S)__(?!\w)/y, (m, world) => el("strong", {}, inline(m[1], world, MARKDOWN))],
  [/\*(?=\S)([^*\n]+?)(?<=\S)\*/y, (m, world) => el("em", {}, inline(m[1], world, MARKDOWN))],
  [/_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)/y, (m, world) => el("em", {}, inline(m[1], world, MARKDOWN))],
  [/~~(?=\S)(.+?)(?<=\S)~~/y, (m, world) => el("s", {}, inline(m[1], world, MARKDOWN))],
];

function entity(name) {
  const known = { amp: "&", lt: "<", gt: ">", quot: '"' };
  return known[name] ?? String.fromCodePoint(Number(name.slice(1)));
}

function inline(text, world, rules) {
  const parts = [];
  let plain = "";
  const flush = () => { if (plain) parts.push(rules === MRKDWN ? unescape(plain) : plain); plain = ""; };
  for (let at = 0; at < text.length; ) {
    const found = matchAt(text, at, rules);
    if (found) {
      flush();
      parts.push(found.make(found.match, world));
      at += found.match[0].length;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  flush();
  return parts;
}

function matchAt(text, at, rules) {
  const afterWord = at > 0 && /\w/.test(text[at - 1]);
  for (const [pattern, make] of rules) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match && !(afterWord && "*_~:".includes(match[0][0]))) return { match, make };
  }
  return null;
}

const lines = (parts) => parts.flatMap((part, index) => (index ? [el("br"), ...part] : part));

/** A message's text in Slack's own markup. */
export function mrkdwn(text, world) {
  const blocks = [];
  for (const [index, piece] of text.split("```").entries()) {
    if (index % 2) blocks.push(el("pre", {}, unescape(piece.replace(/^\n|\n$/g, ""))));
    else if (piece.trim()) blocks.push(...quotedRuns(piece, /^(?:>|&gt;) ?/, (run) => lines(run.map((l) => inline(l, world, MRKDWN)))));
  }
  return el("div", { class: "text" }, blocks);
}

function quotedRuns(text, sign, render) {
  const runs = [];
  for (const line of text.replace(/^\n+|\n+$/g, "").split("\n")) {
    const quoted = sign.test(line);
    const last = runs.at(-1);
    if (last && last.quoted === quoted) last.lines.push(line.replace(sign, ""));
    else runs.push({ quoted, lines: [line.replace(sign, "")] });
  }
  return runs.map((run) => el(run.quoted ? "blockquote" : "p", {}, render(run.lines)));
}

/** Markdown as Slack's markdown blocks and streams take it. */
export function markdown(text, world) {
  const out = el("div", { class: "text" });
  const rows = text.split("\n");
  for (let at = 0; at < rows.length; ) at = markdownBlock(rows, at, out, world);
  return out;
}

const LIST = /^\s*(?:[-*+]|(\d+)[.)])\s+/;

function markdownBlock(rows, at, out, world) {
  const row = rows[at];
  const heading = /^(#{1,6})\s+(.*)$/.exec(row);
  if (!row.trim()) return at + 1;
  if (row.startsWith("```")) return fence(rows, at, out);
  if (heading) {
    out.append(el("h4", {}, inline(heading[2], world, MARKDOWN)));
    return at + 1;
  }
  if (/^(?:-{3,}|\*{3,})\s*$/.test(row)) {
    out.append(el("hr"));
    return at + 1;
  }
  if (row.startsWith(">")) return run(rows, at, (r) => r.startsWith(">"), (some) => {
    out.append(el("blockquote", {}, lines(some.map((r) => inline(r.replace(/^> ?/, ""), world, MARKDOWN)))));
  });
  if (LIST.test(row)) return run(rows, at, (r) => LIST.test(r), (some) => {
    const tag = LIST.exec(some[0])[1] ? "ol" : "ul";
    out.append(el(tag, {}, some.map((r) => el("li", {}, inline(r.replace(LIST, ""), world, MARKDOWN)))));
  });
  if (row.startsWith("|") && /^\|[\s:|-]+\|\s*$/.test(rows[at + 1] ?? "")) return run(rows, at, (r) => r.startsWith("|"), (some) => {
    out.append(table(some, world));
  });
  const plain = (r) => r.trim() && !/^(?:>|```|#{1,6}\s)/.test(r) && !LIST.test(r);
  return run(rows, at, plain, (some) => out.append(el("p", {}, lines(some.map((r) => inline(r, world, MARKDOWN))))));
}

function run(rows, at, belongs, done) {
  let end = at + 1;
  while (end < rows.length && belongs(rows[end])) end += 1;
  done(rows.slice(at, end));
  return end;
}

function fence(rows, at, out) {
  let end = at + 1;
  while (end < rows.length && !rows[end].startsWith("```")) end += 1;
  out.append(el("pre", {}, rows.slice(at + 1, end).join("\n")));
  return end + 1;
}

function table(rows, world) {
  const cells = (row) => row.replace(/^\||\|\s*$/g, "").split("|").map((cell) => inline(cell.trim(), world, MARKDOWN));
  const [head, , ...body] = rows;
  return el("div", { class: "table" }, el("table", {},
    el("thead", {}, el("tr", {}, cells(head).map((cell) => el("th", {}, cell)))),
    el("tbody", {}, body.map((row) => el("tr", {}, cells(row).map((cell) => el("td", {}, cell)))))));
}
