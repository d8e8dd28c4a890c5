// The box one writes in: text, files, @names and slash commands.

import { avatar, el, icon, iconButton, size, toast } from "./dom.js";

/** A composer for one place. `options`: world, channel, threadTs, placeholder, onsent(ts, {files, text}), draft. */
export class Composer {
  constructor(options) {
    this.options = options;
    this.files = [];
    this.choices = [];
    this.chosen = 0;
    this.picker = el("input", { type: "file", multiple: true, hidden: true, "aria-hidden": "true", tabindex: "-1" });
    this.picker.addEventListener("change", () => { this.attach(this.picker.files); this.picker.value = ""; });
    this.area = el("textarea", { rows: "1", placeholder: options.placeholder, "aria-label": options.placeholder });
    this.area.value = options.draft ?? "";
    this.area.addEventListener("input", () => { this.#grow(); this.#suggest(); });
    this.area.addEventListener("keydown", (event) => this.#key(event));
    this.area.addEventListener("blur", () => setTimeout(() => this.#offer([]), 150));
    this.area.addEventListener("paste", (event) => event.clipboardData.files.length && (event.preventDefault(), this.attach(event.clipboardData.files)));
    this.menu = el("div", { class: "menu", role: "listbox", hidden: true });
    this.chips = el("div", { class: "chips" });
    this.sendButton = iconButton("send", "Send", () => this.send(), "send");
    this.node = el("div", { class: "composer" }, this.menu,
      el("div", { class: "composer-box" }, this.chips, this.area, el("div", { class: "composer-bar" },
        iconButton("attach", "Attach files", () => this.picker.click()),
        iconButton("at", "Mention somebody", () => this.#insert("@")),
        options.threadTs ? null : iconButton("slash", "Use a command", () => { this.area.value = "/"; this.#insert(""); }),
        el("span", { class: "hint" }, el("kbd", {}, "Enter"), " to send"),
        this.sendButton), this.picker));
    this.#ready();
    requestAnimationFrame(() => this.#grow());
  }

  focus() {
    this.area.focus({ preventScroll: true });
    this.area.setSelectionRange(this.area.value.length, this.area.value.length);
  }

  /** Put files beside the text, to be sent with it. */
  attach(list) {
    this.files.push(...list);
    this.chips.replaceChildren(...this.files.map((file) => el("span", { class: "chip" }, icon("file"),
      el("span", { class: "file-name" }, file.name), el("span", { class: "faint" }, size(file.size)),
      iconButton("close", `Remove ${file.name}`, () => { this.files = this.files.filter((f) => f !== file); this.attach([]); }))));
    this.#ready();
    this.focus();
  }

  async send() {
    const text = this.area.value.trim();
    const files = this.files;
    if (this.sending || (!text && !files.length)) return;
    const command = /^(\/[a-z][\w-]*)(?:\s+([\s\S]*))?$/.exec(text);
    this.sending = true;
    const done = command && !files.length ? await this.#command(command[1], command[2] ?? "") : await this.#say(text, files);
    this.sending = false;
    if (!done) return;
    this.area.value = this.#again(text);
    this.files = [];
    this.attach([]);
    this.#grow();
  }

  /** What the next message begins with: in a thread, whoever asked the app will likely ask it again. */
  #again(text) {
    const name = `@${this.options.world.user(this.options.world.bot).name} `;
    return this.options.threadTs && text.startsWith(name) ? name : "";
  }

  async #say(text, files) {
    const { world, channel, threadTs, onsent } = this.options;
    const ts = await world.say(channel, text, { threadTs, files });
    if (ts) onsent?.(ts, { files, text });
    return Boolean(ts);
  }

  async #command(command, text) {
    const { world, channel, threadTs } = this.options;
    if (threadTs) { toast(`${command} is not supported in threads. Sorry!`); return false; }
    return Boolean(await world.do("command", { channel, command, text }));
  }

  #key(event) {
    if (event.isComposing) return;
    if (this.choices.length && ["ArrowDown", "ArrowUp", "Tab", "Enter", "Escape"].includes(event.key)) {
      event.preventDefault();
      if (event.key === "Escape") this.#offer([]);
      else if (event.key.startsWith("Arrow")) this.#mark(this.chosen + (event.key === "ArrowDown" ? 1 : -1));
      else this.choices[this.chosen].take();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.send();
    }
  }

  #suggest() {
    const before = this.area.value.slice(0, this.area.selectionStart);
    const name = /(?:^|\s)@([\w]*)$/.exec(before);
    const command = this.options.threadTs ? null : /^\/([\w-]*)$/.exec(before);
    this.#ready();
    if (name) this.#offer(this.#people(name[1]));
    else if (command) this.#offer(this.#commands(command[1]));
    else this.#offer([]);
  }

  #people(start) {
    const { world, channel } = this.options;
    const here = new Set(world.channel(channel)?.members ?? []);
    return [...world.users.values()]
      .filter((user) => user.id !== world.me && user.name.toLowerCase().startsWith(start.toLowerCase()) && (here.has(user.id) || user.is_bot))
      .sort((a, b) => Number(b.is_bot) - Number(a.is_bot))
      .map((user) => ({ show: [avatar(user, "tiny"), el("strong", {}, user.name), user.is_bot ? el("span", { class: "badge" }, "APP") : ""], take: () => this.#replace(start.length + 1, `@${user.name} `) }));
  }

  #commands(start) {
    return Object.entries(this.options.world.commands)
      .filter(([name]) => name.startsWith(`/${start}`))
      .map(([name, hint]) => ({ show: [el("strong", {}, name), el("span", { class: "faint" }, hint)], take: () => this.#replace(start.length + 1, `${name} `) }));
  }

  #offer(choices) {
    this.choices = choices;
    this.menu.hidden = !choices.length;
    this.menu.replaceChildren(...choices.map((choice) => el("button", { type: "button", role: "option", class: "menu-item", onmousedown: (event) => { event.preventDefault(); choice.take(); } }, choice.show)));
    this.#mark(0);
  }

  #mark(index) {
    this.chosen = (index + this.choices.length) % Math.max(this.choices.length, 1);
    [...this.menu.children].forEach((node, at) => node.setAttribute("aria-selected", String(at === this.chosen)));
  }

  #replace(length, text) {
    const at = this.area.selectionStart;
    this.area.setRangeText(text, at - length, at, "end");
    this.#offer([]);
    this.area.dispatchEvent(new Event("input"));
    this.area.focus();
  }

  #insert(text) {
    this.area.focus();
    const gap = text && this.area.value && !/\s$/.test(this.area.value) ? " " : "";
    this.area.setRangeText(gap + text, this.area.selectionStart, this.area.selectionEnd, "end");
    this.area.dispatchEvent(new Event("input"));
  }

  #grow() {
    this.area.style.height = "auto";
    this.area.style.height = `${Math.min(this.area.scrollHeight, 220)}px`;
  }

  #ready() { this.sendButton.disabled = !this.area.value.trim() && !this.files.length; }
}

/** Let files be dropped anywhere on `pane`; `composer()` gives the composer that takes them. */
export function dropZone(pane, composer, label) {
  const sheet = el("div", { class: "drop" }, el("div", {}, icon("attach"), el("span", {}, label())));
  let depth = 0;
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  pane.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event) || !composer()) return;
    event.preventDefault();
    depth += 1;
    sheet.querySelector("span").textContent = label();
    pane.append(sheet);
  });
  pane.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  pane.addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) sheet.remove(); });
  pane.addEventListener("drop", (event) => {
    depth = 0;
    sheet.remove();
    if (!carriesFiles(event)) return;
    event.preventDefault();
    composer()?.attach(event.dataTransfer.files);
  });
}
