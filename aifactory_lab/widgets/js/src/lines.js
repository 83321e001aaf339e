// The lines of a fleet: a chart per metric, the mean of all with least and most, or the entities that are picked.

import { Chart } from "./chart.js";
import { h, rebuild, show } from "./dom.js";
import { keys } from "./legend.js";
import { faded, lines as linesOf } from "./palette.js";
import { broken, envelope, line, times, window } from "./series.js";

const USUAL = ["busy", "memory_used", "power", "temperature"];

export class FleetLines {
  constructor(board, role, usual = USUAL) {
    Object.assign(this, { board, role, usual, charts: new Map() });
    this.keys = h("div", { class: "af-keys" });
    this.grid = h("div", { class: "af-charts" });
    this.element = h("section", { class: "af-lines", "aria-label": "over time" }, this.keys, this.grid);
  }

  paint() {
    const feed = this.board.store.of(this.role)[0];
    show(this.element, Boolean(feed?.latest));
    if (!feed?.latest) return;
    const picked = this.board.view.selected.filter((one) => one.feed === feed.index && feed.rows.has(one.id));
    this.#charts(feed);
    const [from, to] = this.board.view.range(this.board.feeds);
    const samples = window(feed, from, to);
    for (const [name, chart] of this.charts) this.#chart(chart, feed, feed.columns.get(name), samples, picked);
    keys(this.keys, this.#entries(feed, picked), (id) => this.board.view.pick(feed.index, id, true));
  }

  /** Make a chart for the picked metric and each usual one. */
  #charts(feed) {
    const { metric } = this.board.view;
    const wanted = [...new Set([...this.usual, metric])].filter((name) => feed.columns.has(name));
    const names = wanted.length ? wanted : feed.metrics.slice(0, 4).map(({ name }) => name);
    rebuild(this.grid, `${feed.version}.${names.join()}`, () => {
      this.destroy();
      names.forEach((name, place) => {
        const { label: title, unit } = feed.metrics[feed.columns.get(name)];
        this.charts.set(name, new Chart(this.board, { title, unit, named: place === 0 }));
      });
      return [...this.charts.values()].map((chart) => chart.element);
    });
  }

  #chart(chart, feed, column, samples, picked) {
    const { accent } = this.board.inks;
    const time = times(samples);
    if (!picked.length && feed.whole.length > 1) {
      const data = broken(time, envelope(feed, samples, column), feed.period);
      const faint = { colour: "transparent", width: 0 };
      chart.paint([{ colour: accent, width: 2 }, faint, faint], data, { series: [3, 2], fill: faded(accent, 0.16) });
      return;
    }
    const shown = picked.length ? picked.map(({ id }) => feed.rows.get(id)) : [0];
    const lines = shown.map((row) => line(feed, samples, row, column));
    const colours = linesOf(this.board.theme);
    chart.paint(shown.map((_, i) => ({ colour: colours[i % colours.length] })), broken(time, lines, feed.period));
  }

  #entries(feed, picked) {
    const { accent } = this.board.inks;
    const colours = linesOf(this.board.theme);
    if (picked.length) {
      return picked.map(({ id }, i) => ({ id, name: id.split("/").slice(-2).join(" › "), colour: colours[i % colours.length] }));
    }
    if (feed.whole.length === 1) return [{ name: feed.entities[0].path.at(-1), colour: colours[0] }];
    return [{ name: `mean of ${feed.whole.length.toLocaleString("en-US")}`, colour: accent },
      { name: "least to most", colour: faded(accent, 0.3), fill: true }];
  }

  read() {
    for (const chart of this.charts.values()) chart.read();
  }

  destroy() {
    for (const chart of this.charts.values()) chart.destroy();
    this.charts = new Map();
  }
}
