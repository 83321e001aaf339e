// The legend of the hall: the scale with its unit, what is known in all, every state that is there, what lines are.

import { h, rebuild, setText, show } from "./dom.js";
import { DEGRADED, DOWN, STATE_WORDS, UNKNOWN, UP } from "./hallmodel.js";
import { SYSTEMS } from "./hallsystems.js";
import { gradient } from "./palette.js";
import { count, parts, say } from "./words.js";

const SUMMED = new Set(["W", "tokens/s"]);

export class HallLegend {
  /** toggle: called with a system and whether it is to be seen. */
  constructor(toggle) {
    this.toggle = toggle;
    this.what = h("span", { class: "af-strong" });
    this.low = h("span", { class: "af-number" });
    this.high = h("span", { class: "af-number" });
    const bar = h("span", { class: "af-ramp" });
    bar.style.background = gradient();
    this.total = h("span");
    this.states = [UP, DEGRADED, DOWN, UNKNOWN].map((state) => h("span", { class: "af-swatched" },
      h("span", { class: `af-swatch af-hall-${STATE_WORDS[state]}`, "aria-hidden": "true" }), h("span")));
    this.systems = h("span", { class: "af-hall-systems", role: "group", "aria-label": "pipes and trays" });
    this.element = h("div", { class: "af-legend" },
      h("span", { class: "af-scale" }, this.what, this.low, bar, this.high), this.total, ...this.states, this.systems);
  }

  update(hall, values, by, hidden) {
    const measure = values.measure(by);
    if (measure) {
      setText(this.what, measure.label);
      setText(this.low, parts(measure.low, measure.unit)[0]);
      setText(this.high, say(measure.high, measure.unit));
      setText(this.total, totalWords(values, measure));
    }
    const counts = countsOf(hall, values, by);
    this.states.forEach((element, state) => {
      show(element, counts[state] > 0);
      setText(element.lastChild, `${count(counts[state])} ${state === UNKNOWN ? "not known" : STATE_WORDS[state]}`);
    });
    rebuild(this.systems, hall.systems.join(), () => hall.systems.map((system) => this.#chip(system)));
    for (const chip of this.systems.children) chip.setAttribute("aria-pressed", String(!hidden.has(chip.value)));
  }

  #chip(system) {
    const swatch = h("span", { class: "af-swatch af-line" });
    swatch.style.setProperty("--af-swatch", `var(--af-hall-${system}, var(--af-faint))`);
    const flip = (event) => this.toggle(system, event.currentTarget.getAttribute("aria-pressed") !== "true");
    return h("button", { type: "button", class: "af-hall-chip af-swatched", value: system, onclick: flip, title: "show or hide" },
      swatch, SYSTEMS[system]?.label ?? system);
  }
}

/** Racks by state; one that is up without a number of this measure counts as not known. */
function countsOf(hall, values, by) {
  const counts = values.counts(hall);
  for (let place = 0; place < hall.count; place++) {
    const state = values.states[place];
    if (!hall.isCompute(place) || state === DOWN || state === UNKNOWN || !Number.isNaN(values.value(by, place))) continue;
    counts[state] -= 1;
    counts[UNKNOWN] += 1;
  }
  return counts;
}

/** "in all 12.3 MW", or the range and mean of what does not add up. */
export function totalWords(values, measure) {
  const { known, sum, mean, min, max } = values.sums(measure.name);
  if (!known) return "nothing is known yet";
  if (SUMMED.has(measure.unit)) return `${say(sum, measure.unit)} in ${count(known)} ${known === 1 ? "rack" : "racks"}`;
  return `${parts(min, measure.unit)[0]} to ${say(max, measure.unit)}, mean ${say(mean, measure.unit)}`;
}
