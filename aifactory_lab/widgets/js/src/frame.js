// What stands around every board: title, badges, time controls, banners, notes, foot.

import { h, rebuild, setText, show } from "./dom.js";
import { segments, toggle } from "./picker.js";
import { rangeWords } from "./chart.js";
import { count, kinds, say, span } from "./words.js";

const WINDOWS = [
  { value: 60, text: "1 min", title: "the last minute" },
  { value: 300, text: "5 min", title: "the last five minutes" },
  { value: Infinity, text: "all", title: "all that is kept" },
];

export class Frame {
  constructor(board, title) {
    this.board = board;
    this.dismissed = new Set();
    const { view } = board;
    this.windows = segments("time window", WINDOWS, view.window, (value) => view.set({ window: value, zoom: null }));
    this.pause = toggle("Pause", "let the picture stand still; data go on being kept", () => view.pause(board.feeds));
    this.reset = toggle("Reset zoom", "also: double-click a chart. Zoom: drag, or Ctrl and wheel. Pan: Shift and wheel", () => view.set({ zoom: null }));
    this.table = toggle("Table", "the values as a table", () => view.set({ table: !view.table }));
    this.badges = h("span", { class: "af-badges" });
    this.range = h("span", { class: "af-range af-muted" });
    this.head = h("header", { class: "af-head" },
      h("div", { class: "af-title" }, h("h2", {}, title), this.badges),
      h("div", { class: "af-controls" }, this.range, this.reset.element, this.windows.element, this.pause.element, this.table.element));
    this.banners = h("div", { class: "af-banners", role: "status" });
    this.foot = h("footer", { class: "af-foot" });
    this.live = h("div", { class: "af-hidden", "aria-live": "polite" });
  }

  paint() {
    const { view, feeds, store } = this.board;
    show(this.windows.element, this.board.panels.some((panel) => !panel.untimed));
    this.windows.update(view.zoom ? null : view.window);
    this.pause.update(view.paused !== null, view.paused !== null ? "Resume" : "Pause");
    this.table.update(view.table);
    show(this.table.element, this.board.hasTable);
    show(this.reset.element, view.zoom !== null);
    show(this.range, view.zoom !== null);
    setText(this.range, view.zoom ? rangeWords(view) : "");
    this.#badges(feeds);
    this.#banners(feeds, store);
    this.#foot(feeds);
  }

  #badges(feeds) {
    const unreal = [...new Map(feeds.filter((feed) => feed.origin !== "measured").map((feed) => [feed.origin + feed.label, feed])).values()];
    rebuild(this.badges, unreal.map(({ origin, label }) => origin + label).join("|"), () =>
      unreal.map(({ origin, label }) => h("span", { class: `af-badge af-${origin}`, title: label },
        h("b", {}, origin), label && label !== origin ? ` ${label}` : "")));
  }

  /** What must be seen: a dead kernel, silence, a pause, what sources complain about. */
  #banners(feeds, store) {
    const found = [];
    const { view } = this.board;
    if (store.closed) found.push(["bad", store.closed]);
    else if (!store.answered) {
      const waited = (performance.now() - store.asked) / 1e3;
      if (waited > 2) found.push(["plain", `Waiting for the kernel, which may be running a cell (${span(waited)}).`]);
    } else {
      for (const feed of feeds) {
        const silence = this.board.silence(feed);
        if (silence > 0) found.push(["warn", `No data for ${span(silence)} from ${feed.key || feed.role}.`]);
      }
    }
    if (view.paused !== null) found.push(["plain", "Paused: data go on being kept."]);
    for (const text of this.#notes(feeds)) found.push(["note", text]);
    rebuild(this.banners, JSON.stringify(found), () => found.map(([kind, text]) => this.#banner(kind, text)));
  }

  #notes(feeds) {
    const notes = feeds.flatMap((feed) => [...feed.notes, feed.error].filter(Boolean).map((text) => text.split("\n")[0]));
    const { training } = this.board.store.extras; // its panel says why it ended
    return [...new Set(notes)].filter((text) => text !== training?.reason).filter((text) => !this.dismissed.has(text) && !text.startsWith("no data for"));
  }

  #banner(kind, text) {
    const dismiss = () => {
      this.dismissed.add(text);
      this.board.schedule();
    };
    const button = { type: "button", class: "af-button af-close", "aria-label": "dismiss", onclick: dismiss };
    return h("div", { class: `af-banner af-${kind}` }, h("span", { title: text }, text), kind === "note" ? h("button", button, "×") : null);
  }

  /** What is watched, and what watching costs. */
  #foot(feeds) {
    const words = feeds.filter((feed) => feed.entities.length).map((feed) => {
      const cost = feed.cost ? [`${three(feed.cost[0])} a sample`, feed.cost[1] ? `${count(feed.cost[1])} dropped` : "none dropped"] : [];
      return [kinds(feed.entities), `every ${say(feed.period, "s")}`, ...cost, `${say(feed.bytesPerSample, "B")} a tick`].join(" · ");
    });
    rebuild(this.foot, words.join("|"), () => words.map((text) => h("span", {}, text)));
  }

  speak(text) {
    setText(this.live, text);
  }
}

/** Microseconds as people say them. */
function three(microseconds) {
  return microseconds < 1000 ? say(microseconds, "µs") : say(microseconds / 1e6, "s");
}
