// One entity, opened: its readings, its own lines, processes, health and details.

import { Chart } from "./chart.js";
import { h, rebuild, setText, show } from "./dom.js";
import { lines as linesOf } from "./palette.js";
import { broken, line, times, window } from "./series.js";
import { textTable } from "./table.js";
import { say, span } from "./words.js";
import { STATE_WORDS, UNSUPPORTED } from "./wire.js";

// The charts: metrics of one unit together, with short words for their lines.
const GROUPS = [
  { busy: "busy", sm_active: "SM", tensor_active: "tensor" }, { memory_used: "memory" }, { power: "power" },
  { temperature: "GPU °C", memory_temperature: "mem." }, { sm_clock: "SM clock", memory_clock: "mem." },
  { pcie_rx: "PCIe in", pcie_tx: "out" }, { nvlink_rx: "NVLink in", nvlink_tx: "out" },
  { disk_read: "disk read", disk_write: "written" }, { network_rx: "network in", network_tx: "out" },
];
const ASK_MS = 3000;

export class Detail {
  constructor(board, role) {
    Object.assign(this, { board, role, charts: [], asked: null, waits: null });
    this.title = h("h3", {});
    this.under = h("p", { class: "af-muted" });
    const close = h("button", { type: "button", class: "af-button af-close", "aria-label": "close", onclick: () => this.#close() }, "×");
    this.readings = h("dl", { class: "af-readings" });
    this.grid = h("div", { class: "af-charts af-small" });
    this.facts = h("div", { class: "af-facts" });
    this.element = h("aside", { class: "af-detail", hidden: true, "aria-label": "details" },
      h("header", {}, h("div", {}, this.title, this.under), close), this.readings, this.facts, this.grid);
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && this.#close());
  }

  #close() {
    this.board.view.set({ open: null });
  }

  paint() {
    const { view, store } = this.board;
    const feed = view.open && store.feeds[view.open.feed];
    const row = feed?.role === this.role ? feed.rows.get(view.open.id) : undefined;
    const sample = row !== undefined && view.sample(feed);
    show(this.element, row !== undefined && Boolean(sample));
    if (row === undefined || !sample) return;
    const entity = feed.entities[row];
    setText(this.title, entity.path.at(-1));
    setText(this.under, [entity.name, entity.path.slice(0, -1).join(" › ")].filter(Boolean).join(" · "));
    this.#readings(feed, sample, row);
    this.#lines(feed, sample, row);
    this.#facts(feed, entity);
  }

  #readings(feed, sample, row) {
    rebuild(this.readings, `${feed.index}.${feed.version}`, () =>
      feed.metrics.map(({ label }) => h("div", {}, h("dt", {}, label), h("dd"))));
    this.readings.querySelectorAll("dd").forEach((element, column) => {
      const value = feed.value(sample, row, column);
      const none = Number.isNaN(value);
      setText(element, none ? STATE_WORDS[feed.state(sample, row, column)] : reading(value, feed.metrics[column]));
      element.classList.toggle("af-muted", none);
    });
  }

  /** Lines of what this entity has: what it does not support would be an empty one. */
  #lines(feed, sample, row) {
    const has = (name) => feed.columns.has(name) && feed.state(sample, row, feed.columns.get(name)) !== UNSUPPORTED;
    const groups = GROUPS.map((group) => Object.keys(group).filter(has));
    const some = groups.map((names, i) => ({ names, words: names.map((name) => GROUPS[i][name]) })).filter(({ names }) => names.length);
    rebuild(this.grid, `${feed.index}.${feed.version}.${some.map(({ names }) => names).join()}`, () => {
      this.destroy();
      this.charts = some.map(({ names: [first], words }) =>
        new Chart(this.board, { title: words, unit: feed.metrics[feed.columns.get(first)].unit, height: 92 }));
      return this.charts.map((chart) => chart.element);
    });
    const samples = window(feed, ...this.board.view.range(this.board.feeds));
    const colours = linesOf(this.board.theme);
    this.charts.forEach((chart, i) => {
      const lines = some[i].names.map((name) => line(feed, samples, row, feed.columns.get(name)));
      chart.paint(lines.map((_, k) => ({ colour: colours[k] })), broken(times(samples), lines, feed.period));
    });
  }

  /** Facts come by themselves for small fleets; of a large one they are asked for. */
  #facts(feed, entity) {
    const facts = feed.facts.get(entity.id);
    const now = performance.now();
    const due = this.asked?.id !== entity.id || now - this.asked.at > ASK_MS;
    if (feed.entities.length > 64 && due) {
      this.asked = { id: entity.id, at: now };
      this.board.store.send({ k: "facts", feed: feed.index, entity: entity.id });
    }
    if (!facts) {
      const waited = this.waits?.id === entity.id ? (now - this.waits.since) / 1e3 : 0;
      if (!waited) this.waits = { id: entity.id, since: now };
      const words = waited > 2 ? `The kernel is busy: processes and details come when it is free (${span(waited)}).`
        : "Processes and details: not told yet.";
      rebuild(this.facts, words, () => [h("p", { class: "af-muted" }, words)]);
      return;
    }
    this.waits = null;
    rebuild(this.facts, entity.id + JSON.stringify(facts), () => [...health(facts), ...processes(facts), ...details(facts)]);
  }

  read() {
    for (const chart of this.charts) chart.read();
  }

  destroy() {
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
  }
}

/** A value in words; a mask of flags as what it is, not as a number. */
function reading(value, { kind, unit, name }) {
  if (kind !== "flags") return say(value, unit);
  if (value === 0) return "none";
  return name === "xid" ? String(value) : `0x${value.toString(16)}`;
}

function health({ health: findings }) {
  if (!findings?.length) return [];
  return [h("h4", {}, "Health"), h("ul", { class: "af-findings" }, ...findings.map(({ severity, code, text }) =>
    h("li", { class: `af-severity af-${severity}` }, h("span", { class: "af-tag" }, severity), h("span", {}, text), h("span", { class: "af-muted" }, code))))];
}

function processes({ processes: list }) {
  if (!list?.length) return [h("h4", {}, "Processes"), h("p", { class: "af-muted" }, "none")];
  const rows = list.map(({ pid, name, user, memory_bytes: bytes, busy }) => [
    String(pid), name || "–", user || "–", bytes === null ? "–" : say(bytes, "B"), busy === null ? "–" : say(busy, "%"),
  ]);
  return [h("h4", {}, "Processes"), textTable("processes", ["pid", "name", "user", "memory", "busy"], rows, [0, 3, 4])];
}

function details({ details: words }) {
  const pairs = Object.entries(words ?? {});
  if (!pairs.length) return [];
  return [h("h4", {}, "Details"), h("dl", { class: "af-details" },
    ...pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))];
}
