// Small controls: a row of choices of which one holds, and a button that is on or off.

import { h, rebuild, setText } from "./dom.js";

/** A segmented row: [{value, text, title}] of which one is chosen. */
export function segments(name, choices, chosen, choose) {
  const buttons = choices.map(({ value, text, title }) =>
    h("button", { type: "button", class: "af-segment", title, onclick: () => choose(value) }, text));
  const group = h("div", { class: "af-segments", role: "group", "aria-label": name }, ...buttons);
  const update = (value) => buttons.forEach((button, i) => {
    button.setAttribute("aria-pressed", String(choices[i].value === value));
  });
  update(chosen);
  return { element: group, update };
}

export function toggle(text, title, onclick) {
  const button = h("button", { type: "button", class: "af-button", title, "aria-pressed": "false", onclick }, text);
  return {
    element: button,
    update: (on, words = text) => {
      button.setAttribute("aria-pressed", String(on));
      setText(button, words);
    },
  };
}

const USUAL = ["busy", "memory_used", "power", "temperature", "tensor_active", "sm_clock"];
const HIDDEN = new Set(["memory_total", "power_limit", "sm_clock_max"]); // scales of others

/** Metrics that a person may pick: the usual ones as buttons, the others in a list. */
export class MetricPicker {
  constructor(choose) {
    this.choose = choose;
    this.element = h("div", { class: "af-picker", role: "group", "aria-label": "metric of the heat map" });
  }

  update(feed, chosen) {
    const metrics = feed.metrics.filter((metric) => !HIDDEN.has(metric.name));
    const usual = metrics.filter((metric) => USUAL.includes(metric.name));
    const shown = usual.length ? usual : metrics.slice(0, 4);
    const others = metrics.filter((metric) => !shown.includes(metric));
    rebuild(this.element, `${feed.index}.${feed.version}`, () => this.#make(shown, others));
    for (const button of this.element.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.value === chosen));
    }
    const list = this.element.querySelector("select");
    if (list) list.value = others.some((metric) => metric.name === chosen) ? chosen : "";
    list?.classList.toggle("af-on", list.value !== "");
  }

  #make(shown, others) {
    const button = ({ name, label }) =>
      h("button", { type: "button", class: "af-chip", value: name, onclick: () => this.choose(name) }, label);
    const option = ({ name, label }) => h("option", { value: name }, label);
    const pick = (event) => event.target.value && this.choose(event.target.value);
    const list = h("select", { class: "af-chip", "aria-label": "other metrics", onchange: pick },
      h("option", { value: "", disabled: true, selected: true }, `${others.length} more`), ...others.map(option));
    return [...shown.map(button), ...(others.length ? [list] : [])];
  }
}
