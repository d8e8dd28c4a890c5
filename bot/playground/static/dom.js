// Small builders of page elements. Text always goes in as text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `props` are attributes, `class`, `dataset`, and `on…` listeners; null children are left out. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name in node && typeof value === "boolean") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const PATHS = {
  attach: "M14 6.500 7.700 12.800a2 2 0 0 0 2.800 2.800l6.600-6.600a3.700 3.700 0 0 0-5.200-5.200L5 10.700a5.400 5.400 0 0 0 7.600 7.600l5.200-5.200",
  send: "M3.500 10 17 3.500 13.500 17l-3.200-5.200L3.500 10Zm6.800 1.800L17 3.500",
  at: "M13 10a3 3 0 1 1-6 0 3 3 0 0 1 6 0Zm0 0v1.200a1.900 1.900 0 0 0 3.800 0V10A6.800 6.800 0 1 0 14 15.500",
  slash: "M12.500 4 7.500 16",
  close: "m5 5 10 10M15 5 5 15",
  menu: "M3.500 6h13M3.500 10h13M3.500 14h13",
  reply: "M4 5.500h12v7.500H9l-3.500 3v-3H4z",
  link: "M8.500 11.500a3 3 0 0 0 4.300 0l2.600-2.600a3 3 0 0 0-4.300-4.300L10 5.700M11.500 8.500a3 3 0 0 0-4.300 0l-2.600 2.600a3 3 0 0 0 4.300 4.300l1.100-1.100",
  trash: "M4.500 6h11M8 6V4.200h4V6m-6 0 .7 10h6.600L14 6",
  up: "M6.500 9 9.600 3.600c1 0 1.700.8 1.700 1.800V8h3.600c.9 0 1.600.8 1.400 1.700l-1.100 5.200c-.1.700-.7 1.200-1.400 1.200H6.500m0-7.100v7.100m0-7.100H4v7.100h2.500",
  down: "M13.500 11 10.400 16.400c-1 0-1.700-.8-1.700-1.800V12H5.100c-.9 0-1.600-.8-1.400-1.700l1.100-5.200c.1-.7.7-1.200 1.400-1.200h7.300m0 7.100V3.900m0 7.100H16V3.900h-2.500",
  moon: "M16 11.700A6.500 6.500 0 0 1 8.300 4a6.500 6.500 0 1 0 7.700 7.700Z",
  stop: "M6 6h8v8H6z",
  check: "m4.500 10.500 3.500 3.500 7.500-8",
  file: "M5.500 3h6l3.500 3.500V17h-9.500zM11.500 3v3.500H15",
  lock: "M6 9V7a4 4 0 0 1 8 0v2m-9 0h10v7.500H5z",
};

/** A line icon by name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A square button that is only an icon; `label` is what it is called. */
export function iconButton(name, label, onclick, extra = "") {
  return el("button", { type: "button", class: `icon-button ${extra}`, title: label, "aria-label": label, onclick }, icon(name));
}

/** A person's picture: their initial on a colour of their own, or the app's mark. */
export function avatar(user, size = "") {
  if (user?.is_bot) return el("img", { class: `avatar ${size}`, src: "/static/mark.svg", alt: "" });
  const name = user?.name ?? "?";
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  const node = el("span", { class: `avatar ${size}`, "aria-hidden": "true" }, name.slice(0, 1).toUpperCase());
  node.style.setProperty("--hue", hue);
  return node;
}

const asDate = (ts) => new Date(Number(ts) * 1000);

/** "14:05", for Slack's ts. */
export function clock(ts) {
  return asDate(ts).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
}

/** "Today", "Yesterday" or the date. */
export function day(ts) {
  const date = asDate(ts);
  const today = new Date();
  const ago = Math.round((new Date(today.toDateString()) - new Date(date.toDateString())) / 86_400_000);
  if (ago === 0) return "Today";
  return ago === 1 ? "Yesterday" : date.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}

/** "2.4 MB" */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1_000_000 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** Say something briefly at the bottom of the window. */
export function toast(text) {
  const node = el("div", { class: "toast" }, text);
  document.getElementById("toasts").append(node);
  setTimeout(() => node.remove(), 6000);
}
