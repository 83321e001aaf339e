// The numbers of a board as an ordinary table: for screen readers, for copying, for people who prefer it.

import { h, rebuild, setText } from "./dom.js";
import { say } from "./words.js";
import { STATE_WORDS } from "./wire.js";

const MOST_ROWS = 256;

/** Every metric of the entities at one moment; the first rows only where there are very many. */
export function valueTable(element, feed, sample) {
  const rows = feed.entities.slice(0, MOST_ROWS);
  rebuild(element, `${feed.index}.${feed.version}`, () => [skeleton(feed, rows)]);
  const cells = element.querySelectorAll("td");
  let place = 0;
  for (let row = 0; row < rows.length; row++) {
    for (let column = 0; column < feed.metrics.length; column++) {
      const value = feed.value(sample, row, column);
      const state = feed.state(sample, row, column);
      setText(cells[place++], Number.isNaN(value) ? STATE_WORDS[state] : say(value, feed.metrics[column].unit));
    }
  }
}

function skeleton(feed, rows) {
  const more = feed.entities.length - rows.length;
  const caption = `All readings now${more > 0 ? `; the first ${rows.length} of ${feed.entities.length}` : ""}`;
  return h("table", {}, h("caption", {}, caption),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "entity"),
      ...feed.metrics.map((metric) => h("th", { scope: "col" }, metric.label)))),
    h("tbody", {}, ...rows.map((entity) => h("tr", {}, h("th", { scope: "row", title: entity.id }, entity.path.slice(-2).join(" › ")),
      ...feed.metrics.map(() => h("td"))))));
}

/** A plain table of texts: heads and rows; alignment by which columns hold numbers. */
export function textTable(caption, heads, rows, numbers = []) {
  const side = (column) => (numbers.includes(column) ? "af-number" : null);
  return h("table", { class: "af-plain" }, h("caption", { class: "af-hidden" }, caption),
    h("thead", {}, h("tr", {}, ...heads.map((head, i) => h("th", { scope: "col", class: side(i) }, head)))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((text, i) => h("td", { class: side(i) }, text))))));
}
