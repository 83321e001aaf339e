// The factory floor: stations as boxes in the way of the goods, a row a line, who is at work, and where it is held up.

import { h, rebuild, s, setText, show } from "./dom.js";
import { flowPlan } from "./flowplan.js";
import { count, parts, say } from "./words.js";

export class Floor {
  constructor(board) {
    this.board = board;
    this.drawn = []; // what was made of each line: boxes, arrows, and the names of its stations
    this.title = h("h3", { class: "af-section" }, "Factory floor");
    this.host = h("div", { class: "af-flow" });
    this.why = h("p", { class: "af-why" });
    this.empty = h("div", { class: "af-absent" }, h("p", {}, "No station has worked yet. The whole line runs with"), h("code", {}, "make run"));
    this.element = h("section", { class: "af-panel", "aria-label": "factory floor" }, this.title, this.host, this.why, this.empty);
  }

  paint() {
    const { store, view, panels } = this.board;
    const [feed] = store.of("station");
    const sample = feed && view.sample(feed);
    show(this.element, Boolean(sample));
    if (!sample) return;
    show(this.title, panels.length > 1);
    const stations = stationsOf(feed, sample, store.extras.floor);
    const width = Math.floor(this.host.clientWidth);
    if (width < 60) return;
    const lines = linesOf(stations);
    const key = lines.map(({ name, folded, stations: own }) => `${name}${folded}:${own.map((station) => station.name)}`).join();
    rebuild(this.host, `${width}|${key}`, () => {
      this.drawn = [];
      return lines.flatMap((line) => this.#line(line, width, lines.length > 1));
    });
    const now = new Map(stations.map((station) => [station.name, station]));
    for (const { boxes, arrows, names } of this.drawn) {
      boxes.forEach((box, i) => this.#fill(box, now.get(names[i])));
      arrows.forEach((arrow, i) => arrow.classList.toggle("af-moving", now.get(names[i + 1]).active));
    }
    this.#why(store.extras.floor?.bottleneck, stations);
    show(this.empty, stations.every(({ never }) => never));
  }

  /** One line: its name where there are several, and its stations; a line that never ran while another did is one row of words. */
  #line({ name, folded, stations }, width, named) {
    if (folded) {
      const labels = stations.map(({ words }) => words.label).join(" → ");
      return [h("p", { class: "af-folded" }, h("b", {}, name), ` ${labels}: not run yet`)];
    }
    return [...(named ? [h("h4", { class: "af-line-name" }, name)] : []), this.#make(stations, width)];
  }

  #make(stations, width) {
    const plan = flowPlan(stations.length, width - 6); // room for the glow
    const id = `${this.board.key}-tip-${this.drawn.length}`;
    const tip = s("marker", { id, viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
      s("path", { d: "M1,1L7,4L1,7", class: "af-tip-path" }));
    const arrows = plan.arrows.map((d) => s("path", { d, class: "af-arrow", "marker-end": `url(#${id})` }));
    const boxes = plan.boxes.map((box) => makeBox(box, plan.wide));
    this.drawn.push({ boxes, arrows, names: stations.map((station) => station.name) });
    return s("svg", { width: plan.width + 6, height: plan.height, viewBox: `-3 0 ${plan.width + 6} ${plan.height}`, role: "list" },
      s("defs", {}, tip), ...arrows, ...boxes.map((box) => box.group));
  }

  #fill(box, station) {
    const { group } = box;
    group.classList.toggle("af-active", station.active);
    group.classList.toggle("af-never", station.never);
    group.classList.toggle("af-held", station.held);
    for (const [name, text] of Object.entries(station.words)) setText(box[name], text);
    box.bar.setAttribute("width", String(Math.max(0, Math.min(1, station.share)) * box.room));
    const said = Object.values(station.words).filter(Boolean).join(", ");
    if (group.getAttribute("aria-label") !== said) group.setAttribute("aria-label", said);
  }

  #why(bottleneck, stations) {
    const held = bottleneck && stations.find(({ name }) => name === bottleneck.station);
    show(this.why, Boolean(held));
    if (!held) return;
    rebuild(this.why, held.words.label + bottleneck.reason, () => [
      h("b", {}, "Bottleneck"), ` ${held.words.label}: ${bottleneck.reason}`]);
  }

  summary() {
    const { store, view } = this.board;
    const [feed] = store.of("station");
    const sample = feed && view.sample(feed);
    if (!sample) return "";
    const active = stationsOf(feed, sample, store.extras.floor).filter((station) => station.active);
    return active.length ? `at work: ${active.map(({ words }) => words.label).join(", ")}` : "no station at work";
  }
}

/** What the boxes say: one entry a station, in the order of the flow. */
export function stationsOf(feed, sample, floor) {
  const told = new Map((floor?.flow ?? []).map((one) => [one.station, one]));
  return feed.entities.map((entity, row) => {
    const name = entity.path.at(-1);
    const { label = entity.name || name, unit = "", line = "" } = told.get(name) ?? {};
    const get = (metric) => feed.get(sample, row, metric);
    const active = get("active") > 0;
    const never = !active && !(get("made") > 0) && !(get("seconds") > 0);
    const held = floor?.bottleneck?.station === name;
    const words = never ? { label, state: "", big: "–", unit: "never ran", made: "", spent: "", more: "" }
      : { label, state: active ? "at work" : "idle", ...main(get, active, unit), spent: spent(get), more: more(get) };
    return { name, line, active, never, held, share: (get("floor_share") || 0) / 100, words };
  });
}

/** The lines in order, each with its stations; a line that never ran is folded, unless none has. */
export function linesOf(stations) {
  const lines = [...new Set(stations.map(({ line }) => line))].map((name) => ({ name, stations: stations.filter((one) => one.line === name) }));
  const ran = ({ stations: own }) => own.some(({ never }) => !never);
  const some = lines.some(ran);
  return lines.map((line) => ({ ...line, folded: some && !ran(line) }));
}

function main(get, active, unit) {
  const [made, rate] = [get("made"), get("rate")];
  if (active && Number.isFinite(rate)) {
    const [big, word] = parts(rate, "/s");
    return { big, unit: unit ? word.replace("/s", ` ${unit}/s`).trim() : word, made: Number.isFinite(made) ? `${amount(made).filter(Boolean).join("\u202f")} made${lasted(get)}` : "" };
  }
  if (!Number.isFinite(made)) return { big: "–", unit: "", made: active ? "rate not told" : "" };
  const [big, prefix] = amount(made);
  return { big, unit: `${prefix} ${unit}`.trim(), made: `made${lasted(get)}` };
}

/** A count as people say it: whole up to a hundred thousand, then with a prefix. */
function amount(made) {
  if (made < 100_000) return [count(made), ""];
  const [big, prefix] = parts(made, "B");
  return [big, prefix.replace("B", "")];
}

const lasted = (get) => (Number.isFinite(get("seconds")) ? ` in ${say(get("seconds"), "s")}` : "");
const spent = (get) => (Number.isFinite(get("joules")) ? say(get("joules"), "J") : "energy unknown");

function more(get) {
  const [waiting, floor] = [get("waiting"), get("floor_share")];
  const texts = [waiting > 0 ? `${count(waiting)} waiting` : "", floor > 0 ? `${say(floor, "%")} of the floor rate` : ""];
  return texts.filter(Boolean).join(" · ");
}

/** One box and its texts, by their names. */
function makeBox({ x, y, w, h: high }, wide) {
  const text = (cls, tx, ty, anchor) => s("text", { x: tx, y: ty, class: cls, "text-anchor": anchor });
  const [pad, right] = [14, w - 14];
  const big = s("tspan", { class: "af-flow-big" });
  const unit = s("tspan", { class: "af-flow-unit", dx: 4 });
  const label = text("af-flow-label", pad, 26);
  const state = text("af-flow-state", right, 26, "end");
  const number = s("text", { x: pad, y: wide ? 58 : 60 }, big, unit);
  const made = wide ? text("af-flow-small", right, 56, "end") : text("af-flow-small", pad, 79);
  const spent = wide ? text("af-flow-small", pad, 78) : text("af-flow-small", pad, 97);
  const more = wide ? text("af-flow-small", right, 78, "end") : text("af-flow-small", pad, 115);
  const room = w - 2 * pad;
  const bar = s("rect", { x: pad, y: high - 10, height: 3, rx: 1.5, width: 0, class: "af-flow-bar" });
  const group = s("g", { class: "af-station", transform: `translate(${x},${y})`, role: "listitem" },
    s("rect", { class: "af-box", width: w, height: high, rx: 9 }),
    s("rect", { class: "af-stripe", width: 4, height: high - 20, x: 0, y: 10, rx: 2 }),
    label, state, number, made, spent, more,
    s("rect", { x: pad, y: high - 10, height: 3, rx: 1.5, width: room, class: "af-flow-rail" }), bar,
    s("g", { class: "af-held-mark", transform: `translate(${w / 2},0)` },
      s("rect", { x: -40, y: -10, width: 80, height: 19, rx: 9.5 }), s("text", { "text-anchor": "middle", y: 4 }, "bottleneck")));
  return { group, label, state, big, unit, made, spent, more, bar, room };
}

