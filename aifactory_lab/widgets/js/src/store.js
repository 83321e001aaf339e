// Everything that a board received, shared by all its views: feeds, facts, bands, alerts, the floor, a training, the fleet, what is absent.

import { Feed } from "./wire.js";

const PING_MS = 5000;
const STORES = new WeakMap(); // a model → its store

/** The store of a model, made and connected when first asked for. */
export function storeOf(model) {
  if (!STORES.has(model)) STORES.set(model, new Store(model));
  return STORES.get(model);
}

export class Store {
  constructor(model) {
    this.model = model;
    this.feeds = [];
    this.extras = { bands: [], alerts: [], floor: null, output: null, training: null, jobs: null, absent: [] };
    this.closed = "";
    this.answered = false; // whether Python ever answered
    this.greeted = false; // whether it answered a hello: layouts, histories, then the extras
    this.heard = performance.now(); // when anything came last
    this.asked = 0;
    this.views = new Set();
    this.receive = (message, buffers) => this.#receive(message, buffers);
    this.gone = () => this.#end("The kernel of this board is gone: this is the last picture.");
  }

  attach(view) {
    if (!this.views.size) {
      this.model.on("msg:custom", this.receive);
      this.model.on("comm_live_update", this.gone);
      // a hello that was said while the kernel was still connecting is lost without a word: say it until it is answered
      this.pinger = setInterval(() => this.send({ k: this.greeted ? "ping" : "hello" }), PING_MS);
    }
    this.views.add(view);
    this.asked = performance.now();
    this.greeted = false;
    this.send({ k: "hello" });
  }

  detach(view) {
    this.views.delete(view);
    if (this.views.size) return;
    clearInterval(this.pinger);
    this.model.off("msg:custom", this.receive);
    this.model.off("comm_live_update", this.gone);
  }

  send(message) {
    try {
      this.model.send(message);
    } catch {
      this.#end("The kernel of this board cannot be reached: this is the last picture.");
    }
  }

  /** Feeds of a role, for example all endpoints. */
  of(role) {
    return this.feeds.filter((feed) => feed && feed.role === role);
  }

  #end(words) {
    this.closed = words;
    for (const view of this.views) view.schedule();
  }

  #receive(message, buffers) {
    this.heard = performance.now();
    this.closed = message.k === "end" ? "This board was closed: this is its last picture." : "";
    this.answered = true;
    this.greeted ||= message.k === "extras";
    const feed = this.feeds[message.feed];
    if (message.k === "layout") this.#describe(message);
    else if (message.k === "history" && feed) feed.history(message, buffers);
    else if (message.k === "tick" && feed) feed.tick(message, buffers);
    this.#extra(message);
    for (const view of this.views) view.schedule();
  }

  #describe(message) {
    const feed = this.feeds[message.feed];
    if (feed) feed.describe(message);
    else this.feeds[message.feed] = new Feed(message);
  }

  /** Slow things ride on any message, and come only when they changed. */
  #extra(message) {
    for (const name of Object.keys(this.extras)) {
      if (message[name] !== undefined) this.extras[name] = message[name];
    }
    const feed = this.feeds[message.feed];
    if (message.facts && feed) {
      for (const [entity, facts] of Object.entries(message.facts)) feed.facts.set(entity, facts);
    }
  }
}
