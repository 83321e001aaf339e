// Projects and their colours: the same for a project everywhere, whatever comes and goes.

import { h, rebuild } from "./dom.js";
import { lines } from "./palette.js";

// Where the lines' colours end: from Paul Tol's "muted" (2021), lighter on dark ground.
const MORE = { light: ["#332288", "#999933", "#882255", "#44AA99"], dark: ["#9A8FEA", "#C9C95E", "#DD6A9C", "#8ADBCE"] };
const MAIN = [0, 5, 2, 3, 1, 4]; // of the lines' colours; their grey is nobody's
const NOBODY = "#8C8C8C";

/**
 * Project → colour, by its name, so that it stays the same while others come and go; where two names would share one,
 * the later in the alphabet takes the next that is free. aifactory_lab/figures/fleet.py does the same.
 */
export function coloursOf(words, theme) {
  const names = [...words.projects.map(({ project }) => project), ...Object.values(words.jobs).map(({ project }) => project)];
  const known = [...new Set(names)].filter(Boolean).sort();
  const colours = lines(theme);
  const main = MAIN.map((place) => colours[place]);
  const more = MORE[theme === "dark" ? "dark" : "light"];
  const found = new Map();
  for (const name of known) {
    const first = placeOf(name) % main.length;
    const order = [...main.slice(first), ...main.slice(0, first), ...more];
    const taken = new Set(found.values());
    found.set(name, order.find((colour) => !taken.has(colour)) ?? order[0]);
  }
  return found;
}

function placeOf(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
  return sum;
}

/** The colour of a job's project. */
export function colourOf(job, words, colours) {
  return colours.get(words.jobs[job]?.project) ?? NOBODY;
}

export function swatch(colour, extra = "") {
  const element = h("span", { class: `af-swatch ${extra}` });
  element.style.setProperty("--af-swatch", colour);
  return element;
}

/** What the colours and marks of a map or a chart mean; only marks that are on it. */
export function legend(element, colours, marks) {
  rebuild(element, JSON.stringify([...colours, marks]), () => [
    ...[...colours].map(([name, colour]) => h("span", { class: "af-swatched" }, swatch(colour, "af-mine"), h("span", { class: "af-name", title: name }, name))),
    ...marks.map(([kind, text]) => h("span", { class: "af-swatched" }, swatch(NOBODY, kind), text)),
  ]);
}
