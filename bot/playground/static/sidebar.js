// The channels and people on the left, and whom one acts as.

import { avatar, el, icon, iconButton } from "./dom.js";

/** The sidebar's parts. `act`: go(channelId), become(userId), close(). */
export function sidebar(world, view, act) {
  const channels = [...world.channels.values()];
  const places = channels.filter((channel) => channel.kind !== "im" && !channel.archived);
  return [
    el("header", { class: "side-head" },
      el("img", { src: "/static/mark.svg", alt: "" }),
      el("div", {}, el("strong", {}, "Recollect"), el("span", {}, "A Slack on this machine")),
      iconButton("close", "Close", act.close, "narrow-only")),
    el("div", { class: "side-scroll" },
      el("h2", {}, "Channels"), places.map((channel) => place(channel, world, view, act)),
      el("h2", {}, "Direct messages"), world.direct ? place(world.direct, world, view, act) : null),
    el("footer", { class: "side-foot" }, acting(world, act)),
  ];
}

function place(channel, world, view, act) {
  const bot = world.user(world.bot);
  const sign = channel.kind === "im" ? avatar(bot, "tiny") : channel.kind === "private" ? icon("lock") : el("span", { class: "hash" }, "#");
  const classes = ["place", view.unread.has(channel.id) && "unread", !channel.members.includes(world.me) && "not-in"].filter(Boolean).join(" ");
  return el("button", { type: "button", class: classes, "aria-current": channel.id === view.channel ? "page" : null, onclick: () => act.go(channel.id) },
    sign, el("span", { class: "grow" }, channel.kind === "im" ? bot.name : channel.name), el("i", { class: "unread-dot", "aria-hidden": "true" }));
}

function acting(world, act) {
  const me = world.user(world.me);
  const others = [...world.users.values()].filter((user) => !user.is_bot && !user.deleted);
  const menu = el("div", { class: "who-menu", hidden: true },
    el("p", {}, "Act as"),
    others.map((user) => el("button", { type: "button", class: "menu-item", "aria-selected": String(user.id === me.id), onclick: () => act.become(user.id) },
      avatar(user, "small"), el("span", { class: "grow" }, user.name), el("span", { class: "faint" }, standing(user)))));
  const button = el("button", { type: "button", class: "who", "aria-haspopup": "true", onclick: () => { menu.hidden = !menu.hidden; } },
    avatar(me, "small"), el("span", { class: "grow" }, el("strong", {}, me.name), el("span", {}, `${standing(me)} · switch person`)));
  return [menu, button, iconButton("moon", "Light or dark", theme)];
}

const standing = (user) => (user.is_admin ? "Admin" : { member: "Member", guest: "Guest", external: "From elsewhere" }[user.kind]);

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
}
