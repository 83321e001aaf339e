// Large numbers in a row: a label, a number with its unit, a line of words below.

import { h, rebuild, setText } from "./dom.js";
import { parts } from "./words.js";

export class Tiles {
  constructor() {
    this.element = h("div", { class: "af-tiles" });
  }

  /** numbers: [{label, value, unit, under, bad, share, title}]; share (0 to 1) draws a bar. */
  update(numbers) {
    const key = numbers.map(({ label, share }) => `${label}${share === undefined ? "" : "%"}`).join("|");
    rebuild(this.element, key, () => numbers.map(({ label, share }) => tile(label, share !== undefined)));
    numbers.forEach((number, i) => fillTile(this.element.children[i], number));
  }
}

function tile(label, bar) {
  return h("div", { class: "af-tile" }, h("span", { class: "af-label" }, label),
    h("span", { class: "af-big" }, h("span", { class: "af-digits" }), h("span", { class: "af-unit" })),
    h("span", { class: "af-under" }),
    bar ? h("span", { class: "af-bar", "aria-hidden": "true" }, h("span")) : null);
}

function fillTile(element, { value, unit, under = "", bad = false, share, title = "" }) {
  const [digits, word] = typeof value === "string" ? [value, ""] : parts(value, unit);
  setText(element.querySelector(".af-digits"), digits);
  setText(element.querySelector(".af-unit"), word);
  setText(element.querySelector(".af-under"), under);
  element.classList.toggle("af-bad", bad);
  element.classList.toggle("af-none", digits === "–");
  element.title = title || under;
  const bar = element.querySelector(".af-bar > span");
  if (bar) bar.style.width = `${Math.max(0, Math.min(100, share * 100))}%`;
}
