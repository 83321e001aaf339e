// A board on the page: its store, its view, its panels; painted at most once a frame, and never unseen.

import { Frame } from "./frame.js";
import { h } from "./dom.js";
import { panelsOf } from "./panels.js";
import { follow, inks } from "./theme.js";
import { View } from "./view.js";

const SPEAK_MS = 15_000;
let boards = 0;

export class Board {
  constructor(model, store) {
    this.model = model;
    this.store = store;
    this.key = `aifactory-${++boards}`;
    this.view = new View(() => this.schedule());
    this.root = h("div", { class: "af-board" });
    this.options = model.get("options") ?? {};
    this.frame = new Frame(this, model.get("title"));
    this.panels = panelsOf(this, model.get("panels"));
    this.hasTable = this.panels.some((panel) => panel.table);
    this.inside = h("div", { class: "af-inside" },
      this.frame.head, this.frame.banners, ...this.panels.map((panel) => panel.element), this.frame.foot, this.frame.live);
    this.root.append(this.inside);
    this.seen = true;
    this.spoken = 0;
  }

  get feeds() {
    return this.store.feeds.filter(Boolean);
  }

  /** Begin to live in the page. Returns what ends that. */
  mount(host) {
    host.append(this.root);
    const sizes = new ResizeObserver(() => this.schedule());
    sizes.observe(this.root);
    const sight = new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      this.schedule();
    });
    sight.observe(this.root);
    const shown = () => this.schedule();
    const back = () => {
      if (!document.hidden) this.store.send({ k: "ping" }); // what was missed while hidden comes at once
      this.schedule();
    };
    document.addEventListener("visibilitychange", back);
    const second = setInterval(shown, 1000); // ages are counted here, where the clock goes on without a kernel
    this.store.attach(this);
    return () => {
      clearInterval(second);
      document.removeEventListener("visibilitychange", back);
      sizes.disconnect();
      sight.disconnect();
      this.unfollow?.();
      this.store.detach(this);
      for (const panel of this.panels) panel.destroy?.();
      this.root.remove();
    };
  }

  schedule() {
    if (this.due || document.hidden || !this.seen) return;
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      this.paint();
    });
  }

  paint() {
    if (!this.root.isConnected) return; // drawn before it is put into the page: no style and no size yet
    this.unfollow ??= follow(this.root, () => this.#retheme());
    if (!this.inks?.ink) return this.#retheme(); // the style sheet is still to come
    this.frame.paint();
    for (const panel of this.panels) panel.paint();
    if (performance.now() - this.spoken > SPEAK_MS) {
      this.spoken = performance.now();
      this.frame.speak(this.panels.map((panel) => panel.summary?.() ?? "").filter(Boolean).join("; "));
    }
    this.root.dataset.painted = String(Number(this.root.dataset.painted ?? 0) + 1);
  }

  /** Seconds without data from a feed, 0 while it is in time: three periods, at least three seconds. */
  silence(feed) {
    feed.lastTicks ??= -1;
    if (feed.lastTicks !== feed.ticks + feed.samples.length) {
      feed.lastTicks = feed.ticks + feed.samples.length;
      feed.heard = performance.now();
    }
    const silent = (performance.now() - feed.heard) / 1e3;
    return silent > Math.max(3, 3 * feed.period) ? silent : 0;
  }

  isStale(feed) {
    return Boolean(this.store.closed) || this.silence(feed) > 0;
  }

  readCharts() {
    for (const panel of this.panels) panel.read?.();
  }

  #retheme() {
    this.theme = this.root.dataset.afTheme;
    this.inks = inks(this.root);
    this.schedule();
  }
}
