// What this person sees of the workspace, kept up to date, and what they can do in it.

import { toast } from "./dom.js";

/** The page's picture of the workspace. Calls `onchange(kind, change)` after each change. */
export class World {
  constructor(onchange) {
    this.onchange = onchange;
    this.me = null;
    this.users = new Map();
    this.channels = new Map();
    this.messages = new Map();
    this.statuses = new Map();
    this.prompts = {};
    this.commands = {};
    this.home = null;
    this.connected = true;
    this.socket = null;
    this.follow = () => {};
    this.arrivals = new Map();
  }

  user(id) { return this.users.get(id); }
  channel(id) { return this.channels.get(id); }
  message(channel, ts) { return this.messages.get(channel)?.get(ts); }

  /** The direct messages with the app. */
  get direct() { return [...this.channels.values()].find((channel) => channel.kind === "im"); }

  /** A channel's own messages, oldest first. */
  topLevel(channel) { return this.#sorted(channel, (m) => !m.thread_ts || m.thread_ts === m.ts); }

  /** A thread's replies, oldest first. */
  replies(channel, root) { return this.#sorted(channel, (m) => m.thread_ts === root && m.ts !== root); }

  status(channel, root) { return this.statuses.get(`${channel} ${root}`); }

  /** Load everything as this person, and listen from then on. */
  async become(user) {
    const state = await fetchJson(`/ui/state?user=${encodeURIComponent(user ?? "")}`);
    const changed = state.me !== this.me;
    this.me = state.me;
    this.bot = state.bot;
    this.commands = state.commands;
    this.connected = state.connected;
    this.home = state.home;
    this.homeTab = state.home_tab;
    this.prompts = state.prompts;
    this.users = new Map(state.users.map((person) => [person.id, person]));
    this.channels = new Map(state.channels.map((channel) => [channel.id, channel]));
    this.messages = new Map(Object.entries(state.messages).map(([id, list]) => [id, new Map(list.map((m) => [m.ts, m]))]));
    this.statuses = new Map(state.statuses.map((s) => [`${s.channel} ${s.thread_ts}`, s]));
    if (changed || !this.socket) this.#listen();
    this.onchange("state", {});
  }

  #sorted(channel, wanted) {
    return [...(this.messages.get(channel)?.values() ?? [])].filter(wanted).sort((a, b) => (a.ts < b.ts ? -1 : 1));
  }

  #listen() {
    if (this.socket) { this.socket.onclose = null; this.socket.close(); }
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ui/live?user=${this.me}`);
    socket.onmessage = (event) => this.#apply(JSON.parse(event.data));
    socket.onclose = () => {
      this.socket = null;
      this.onchange("offline", {});
      setTimeout(() => this.become(this.me).catch(() => socket.onclose?.()), 1500);
    };
    this.socket = socket;
  }

  #apply(change) {
    const inChannel = this.messages.get(change.channel);
    if (change.kind === "message") inChannel?.set(change.message.ts, change.message);
    else if (change.kind === "deleted") inChannel?.delete(change.ts);
    else if (change.kind === "status") this.#setStatus(change);
    else if (change.kind === "prompts") this.prompts[change.channel] = change;
    else if (change.kind === "app") this.connected = change.connected;
    else if (change.kind === "view" && change.view.type === "home") this.home = change.view;
    else if (change.kind === "channels" || change.kind === "people") this.become(this.me);
    this.onchange(change.kind, change);
    if (change.kind === "message") {
      this.arrivals.get(change.message.ts)?.();
      this.arrivals.delete(change.message.ts);
    }
  }

  /** Settles when a message of this ts comes, or after three seconds. */
  #arrival(ts) {
    return new Promise((resolve) => {
      this.arrivals.set(ts, resolve);
      setTimeout(resolve, 3000);
    });
  }

  #setStatus(change) {
    const key = `${change.channel} ${change.thread_ts}`;
    if (change.status) this.statuses.set(key, change);
    else this.statuses.delete(key);
  }

  /** Post a message; returns its ts once it is on the page, or null when it was refused (the reason is shown). */
  async say(channel, text, { threadTs, files = [] } = {}) {
    const form = new FormData();
    const fields = { user: this.me, channel, text, ...(threadTs ? { thread_ts: threadTs } : {}) };
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    for (const file of files) form.append("files", file, file.name);
    const answer = await this.#send("/ui/say", form);
    if (answer && !this.message(channel, answer.ts)) await this.#arrival(answer.ts);
    return answer?.ts ?? null;
  }

  /** Do something else; returns null when it was refused (the reason is shown), else an object with `done`. */
  do(deed, details) { return this.#send(`/ui/${deed}`, JSON.stringify({ user: this.me, ...details })); }

  async #send(url, body) {
    try {
      return await fetchJson(url, { method: "POST", body });
    } catch (error) {
      toast(error.message);
      return null;
    }
  }
}

async function fetchJson(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Error("The playground isn't running any more.");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? "That didn't work.");
  return body;
}
