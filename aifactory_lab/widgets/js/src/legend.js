// The legend of the heat map: the full scale, and every state that is on the map now.

import { h, rebuild, setText, show } from "./dom.js";
import { gradient } from "./palette.js";
import { parts, say } from "./words.js";

const STATES = [null, "not supported", "lost", "stale"];

export class Legend {
  constructor() {
    this.low = h("span", { class: "af-number" });
    this.high = h("span", { class: "af-number" });
    const bar = h("span", { class: "af-ramp" });
    bar.style.background = gradient();
    this.what = h("span", { class: "af-strong" });
    this.states = STATES.map((word) => word && h("span", { class: "af-swatched" },
      h("span", { class: `af-swatch af-is-${word.replace(" ", "-")}` }), h("span")));
    this.mig = h("span", { class: "af-swatched" }, h("span", { class: "af-swatch af-is-split" }), "MIG instances");
    this.element = h("div", { class: "af-legend" },
      h("span", { class: "af-scale" }, this.what, this.low, bar, this.high),
      ...this.states.filter(Boolean), this.mig);
  }

  update(feed, sample, column, top, split) {
    const metric = feed.metrics[column];
    setText(this.what, metric.label);
    setText(this.low, parts(0, metric.unit)[0]);
    setText(this.high, say(top, metric.unit));
    const { states } = feed.sums(sample, column);
    this.states.forEach((element, state) => {
      if (!element) return;
      show(element, states[state] > 0);
      setText(element.lastChild, `${states[state].toLocaleString("en-US")} ${STATES[state]}`);
    });
    show(this.mig, split);
  }
}

/** Lines of the legend of the charts: [{name, colour, fill}] */
export function keys(element, entries, remove) {
  const key = JSON.stringify(entries);
  rebuild(element, key, () => entries.map(({ name, colour, fill, id }) => {
    const swatch = h("span", { class: fill ? "af-swatch af-area" : "af-swatch af-line" });
    swatch.style.setProperty("--af-swatch", colour);
    if (!id) return h("span", { class: "af-swatched" }, swatch, name);
    const button = { type: "button", class: "af-swatched af-key", title: `take ${name} out of the lines` };
    return h("button", { ...button, onclick: () => remove(id) }, swatch, name, h("span", { "aria-hidden": "true" }, "×"));
  }));
}
