// Projects and their colours: the same for a project everywhere on a board, whatever comes and goes.

import { h, rebuild } from "./dom.js";
import { lines } from "./palette.js";

// Where the lines' colours end: from Paul Tol's "muted" (2021), lighter on dark ground.
const MORE = { light: ["#332288", "#999933", "#882255", "#44AA99"], dark: ["#9A8FEA", "#C9C95E", "#DD6A9C", "#8ADBCE"] };
const NOBODY = "#8C8C8C";

/** Project → colour, by its place in the alphabet of all that are told of. */
export function coloursOf(words, theme) {
  const names = [...words.projects.map(({ project }) => project), ...Object.values(words.jobs).map(({ project }) => project)];
  const known = [...new Set(names)].filter(Boolean).sort();
  const palette = [...lines(theme).slice(0, -1), ...MORE[theme === "dark" ? "dark" : "light"]]; // the grey is nobody's
  return new Map(known.map((name, i) => [name, palette[i % palette.length]]));
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
