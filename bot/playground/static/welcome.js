// What an empty channel says, so that nobody wonders what to do.

import { avatar, el, icon } from "./dom.js";

/** The top of an empty channel; null once something was said. `act`: empty, attach(), ask(text). */
export function welcome(channel, world, act) {
  if (!act.empty) return null;
  if (channel.kind === "im") return direct(channel, world, act);
  const lead = channel.kind === "private" ? "Only its members can see what is said here." : channel.topic;
  const head = el("div", { class: "welcome-head" }, el("h2", {}, channel.kind === "private" ? icon("lock") : el("span", { class: "hash" }, "#"), channel.name), lead ? el("p", {}, lead) : null);
  return el("section", { class: "welcome" }, head, steps(world, act));
}

function steps(world, act) {
  const bot = world.user(world.bot)?.name ?? "the app";
  const step = (number, title, ...words) => el("li", {}, el("span", { class: "step" }, number), el("div", {}, el("strong", {}, title), el("p", {}, words)));
  return el("div", { class: "card" },
    el("ol", { class: "steps" },
      step("1", "Share a file", "Drop a PDF, Word, PowerPoint, Excel, Markdown or text file anywhere on this page."),
      step("2", `Ask @${bot}`, "The file's thread opens on the right. Mention the bot there with a question about it."),
      step("3", "Read the proof", "The answer shows the exact words it relies on, and the page they stand on.")),
    el("div", { class: "card-foot" },
      el("button", { type: "button", class: "button primary", onclick: act.attach }, icon("attach"), "Choose a file"),
      el("span", { class: "faint" }, "or drop one here")));
}

function direct(channel, world, act) {
  const bot = world.user(world.bot);
  const offered = world.prompts[channel.id];
  const prompts = offered?.prompts ?? [];
  return el("section", { class: "welcome" },
    el("div", { class: "welcome-head" }, el("h2", {}, avatar(bot, "small"), bot.name), el("p", {}, "Ask about anything you have shared. Nobody else sees this conversation.")),
    prompts.length ? el("div", { class: "prompts" }, offered.title ? el("p", { class: "faint" }, offered.title) : null,
      prompts.map((prompt) => el("button", { type: "button", class: "prompt", onclick: () => act.ask(prompt.message) }, prompt.title))) : null);
}
