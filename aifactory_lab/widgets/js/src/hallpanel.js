// One rack, opened: what it is, where it stands, and all its figures; and what the pointer reads of a box.

import { h, rebuild, setText, show } from "./dom.js";
import { STATE_WORDS } from "./hallmodel.js";
import { count, say } from "./words.js";

const KINDS = { gpu: "GPU rack", network: "network rack: switches, no figures of its own", cdu: "coolant distribution unit", fan: "fan unit" };

export class HallPanel {
  constructor(close) {
    this.title = h("h3", {});
    this.state = h("span", { class: "af-tag" });
    this.under = h("p", { class: "af-muted" });
    this.figures = h("dl", { class: "af-readings" });
    this.note = h("p", {});
    const button = h("button", { type: "button", class: "af-button af-close", "aria-label": "close", onclick: close }, "×");
    this.element = h("aside", { class: "af-detail af-hall-detail", hidden: true, "aria-label": "rack" },
      h("header", {}, h("div", {}, h("div", { class: "af-title" }, this.title, this.state), this.under), button), this.figures, this.note);
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && close());
  }

  update(hall, values, place) {
    show(this.element, place >= 0);
    if (place < 0) return;
    const compute = hall.isCompute(place);
    const state = STATE_WORDS[values.states[place]];
    setText(this.title, hall.names[place]);
    show(this.state, compute);
    setText(this.state, state);
    this.state.dataset.state = state;
    setText(this.under, [compute ? "" : KINDS[hall.kinds[place]], placeWords(hall, place)].filter(Boolean).join(" · "));
    const pairs = compute ? figuresOf(hall, values, place) : [];
    rebuild(this.figures, pairs.map(([label]) => label).join(), () => pairs.map(([label]) => h("div", {}, h("dt", {}, label), h("dd"))));
    this.figures.querySelectorAll("dd").forEach((element, i) => {
      setText(element, pairs[i][1]);
      element.classList.toggle("af-muted", pairs[i][1] === "not known");
    });
    setText(this.note, values.notes[place] ?? "");
    show(this.note, Boolean(values.notes[place]));
  }
}

function placeWords(hall, place) {
  const { x, y, h: tall } = hall.box(place);
  return [hall.isRack(place) ? `row ${hall.rowOf(place)}` : "", `${x.toFixed(1)} m east, ${y.toFixed(1)} m north`, `${tall.toFixed(2)} m high`].filter(Boolean).join(" · ");
}

/** [label, words] of everything that is known of a rack, and of what is not. */
function figuresOf(hall, values, place) {
  const pairs = values.measures.map(({ name, label, unit }) => {
    const value = values.value(name, place);
    return [label, Number.isNaN(value) ? "not known" : say(value, unit)];
  });
  const watts = values.value("watts", place);
  const tokens = values.value("tokens_per_second", place);
  if (tokens > 0 && watts > 0) pairs.push(["energy a token", say(watts / tokens, "J")]);
  const up = values.gpusUp?.[place];
  pairs.push(["GPUs", Number.isFinite(up) ? `${count(up)} of ${count(hall.gpus[place])} up` : count(hall.gpus[place])]);
  return pairs;
}

/** A box in one line, for those who hear the page. */
export function spoken(hall, values, by, place) {
  if (!hall.isCompute(place)) return [hall.names[place], hall.isRack(place) ? `row ${hall.rowOf(place)}` : ""].filter(Boolean).join(", ");
  const measure = values.measure(by);
  const value = values.value(by, place);
  const words = measure ? `${measure.label} ${Number.isNaN(value) ? "not known" : say(value, measure.unit)}` : "";
  return [`${hall.names[place]}, row ${hall.rowOf(place)}`, STATE_WORDS[values.states[place]], words].filter(Boolean).join(", ");
}

/** What stands beside the pointer. */
export function tipLines(hall, values, place) {
  const compute = hall.isCompute(place);
  const head = h("div", { class: "af-pair" }, h("b", {}, hall.names[place]), h("span", { class: "af-muted" }, compute ? STATE_WORDS[values.states[place]] : hall.isRack(place) ? "switches" : ""));
  const pairs = compute ? figuresOf(hall, values, place).slice(0, 3) : [];
  const note = values.notes[place];
  return [head, ...pairs.map(([label, words]) => h("div", { class: "af-pair" }, h("span", { class: "af-muted" }, label), h("span", {}, words))), note ? h("div", { class: "af-muted" }, note) : null].filter(Boolean);
}
