// Power and cost: watts now, energy since the board began, and money by two assumptions that a person may edit.

import { Chart } from "./chart.js";
import { h, setText, show } from "./dom.js";
import { Tiles } from "./tiles.js";
import { broken, times, total, window } from "./series.js";
import { span } from "./words.js";

const JOULES_PER_KWH = 3.6e6;

export class Cost {
  constructor(board) {
    this.board = board;
    this.title = h("h3", { class: "af-section" }, "Power and cost");
    this.tiles = new Tiles();
    this.price = this.#input("price", board.options.price ?? 0.12, 0.01, "$ per kWh");
    this.pue = this.#input("PUE", board.options.pue ?? 1.3, 0.05, "watts at the meter per watt in the machines");
    this.why = h("p", { class: "af-muted" });
    this.chart = new Chart(board, { title: "power of all that is measured", unit: "W", height: 104 });
    this.element = h("section", { class: "af-panel", "aria-label": "power and cost" }, this.title, this.tiles.element,
      h("div", { class: "af-assumed" }, h("span", { class: "af-muted" }, "assumed:"), this.price.label, this.pue.label, this.why), this.chart.element);
  }

  #input(name, value, step, title) {
    const input = h("input", { type: "number", min: "0", step: String(step), value: String(value), oninput: () => this.board.schedule() });
    return { input, label: h("label", { title }, `${name} `, input, h("span", { class: "af-muted" }, name === "price" ? " $/kWh" : "")) };
  }

  paint() {
    const { store, panels, view, feeds } = this.board;
    const { output } = store.extras;
    show(this.title, panels.length > 1);
    this.tiles.update(costNumbers(output, Number(this.price.input.value), Number(this.pue.input.value)));
    setText(this.why, Number.isFinite(output?.watts) ? output.why : "");
    const [feed] = feeds.filter((one) => one.columns.has("power") && (one.role === "gpu" || one.role === "host") && known(one));
    show(this.chart.element, Boolean(feed));
    if (!feed) return;
    const samples = window(feed, ...view.range(feeds));
    setText(this.chart.title, feed.role === "gpu" ? "power of the GPUs" : "power of the machine");
    this.chart.paint([{ colour: this.board.inks.accent, width: 2 }], broken(times(samples), [total(feed, samples, feed.columns.get("power"))], feed.period));
  }

  read() {
    this.chart.read();
  }

  destroy() {
    this.chart.destroy();
  }
}

const known = (feed) => feed.latest && feed.sums(feed.latest, feed.columns.get("power")).count > 0;

/** Tiles of power and cost; what is unknown says so. */
export function costNumbers(output, price, pue) {
  const none = "unknown: no energy counter";
  const joules = output?.joules;
  const kwh = Number.isFinite(joules) ? (joules / JOULES_PER_KWH) * pue : NaN;
  const lasted = output?.seconds ? `in ${span(output.seconds)}` : "";
  const dollars = kwh * price;
  const best = Object.values(output?.services ?? {}).find((one) => Number.isFinite(one.joules_per_1000));
  return [
    { label: "power now", value: output?.watts ?? NaN, unit: "W", under: Number.isFinite(output?.watts) ? output.of : none },
    { label: "at the meter", title: "power times PUE", value: Number.isFinite(output?.watts) ? output.watts * pue : NaN, unit: "W", under: Number.isFinite(output?.watts) ? `PUE ${pue}` : none },
    { label: "energy so far", title: "since this board began, with PUE", value: kwh * 1e3, unit: "Wh", under: Number.isFinite(kwh) ? lasted : none },
    { label: "cost so far", title: "since this board began, by the assumptions below", value: Number.isFinite(dollars) ? money(dollars) : "–", unit: "", under: Number.isFinite(dollars) ? hourly(output, price, pue) : none },
    { label: "J per 1,000", value: best?.joules_per_1000 ?? NaN, unit: "J", under: best ? best.unit : Number.isFinite(output?.watts) ? "no outputs now" : none },
  ];
}

function hourly({ watts }, price, pue) {
  return Number.isFinite(watts) ? `${money((watts / 1e3) * pue * price)} an hour` : "";
}

const money = (dollars) => (dollars < 0.01 ? `$${dollars.toPrecision(2)}` : `$${dollars.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`);
