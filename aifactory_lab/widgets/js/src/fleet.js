// The fleet: heat map, read-out under the pointer, keyboard, legend, and the same values as a table.

import { h, newId, setText, show } from "./dom.js";
import { draw, sharpen } from "./heatmap.js";
import { Legend } from "./legend.js";
import { lines as linesOf } from "./palette.js";
import { MetricPicker } from "./picker.js";
import { groupAt, hit, neighbour, plan } from "./plan.js";
import { valueTable } from "./table.js";
import { inks } from "./theme.js";
import { grow } from "./tree.js";
import { many, say } from "./words.js";
import { STATE_WORDS } from "./wire.js";

const MOST_HEIGHT = 440;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Fleet {
  constructor(board, role) {
    this.board = board;
    this.role = role;
    this.active = null;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.option = h("span", { class: "af-hidden", role: "option", id: newId("cell"), "aria-selected": "false" });
    this.map = h("div", {
      class: "af-map", role: "listbox", tabindex: "0", "aria-activedescendant": this.option.id,
      "aria-label": "heat map; arrow keys move, Enter opens, Control and Enter adds to the lines, Escape closes",
    }, this.canvas, this.option);
    this.tip = h("div", { class: "af-tip", hidden: true });
    this.picker = new MetricPicker((metric) => board.view.set({ metric }));
    this.legend = new Legend();
    this.table = h("div", { class: "af-table", hidden: true });
    this.element = h("section", { class: "af-fleet", "aria-label": "fleet" },
      this.picker.element, this.map, this.tip, this.legend.element, this.table);
    this.#listen();
  }

  get feed() {
    return this.board.store.of(this.role)[0] ?? null;
  }

  /** The column of the picked metric, or of the first that there is. */
  column(feed) {
    return feed.columns.get(this.board.view.metric) ?? 0;
  }

  paint() {
    const { feed, board } = this;
    const sample = feed && board.view.sample(feed);
    const lone = this.role === "host" && feed?.entities.length === 1; // one host has tiles and lines, and needs no map
    show(this.element, Boolean(sample && feed.metrics.length && (!lone || board.view.table)));
    for (const part of [this.picker.element, this.map, this.legend.element]) show(part, !lone);
    if (!sample || !feed.metrics.length) return;
    show(this.table, board.view.table);
    if (board.view.table) valueTable(this.table, feed, sample);
    if (lone) return;
    const column = this.column(feed);
    const top = feed.scale(sample, column);
    const scene = this.#scene(feed, sample, column, top);
    if (!scene) return;
    this.#draw(scene);
    this.picker.update(feed, feed.metrics[column].name);
    this.legend.update(feed, sample, column, top, scene.tree.parts.size > 0);
    this.#tell(feed, sample, column);
    if (this.pointed) this.#point(this.pointed);
  }

  /** Draw the map if anything on it changed; boards are painted every second for the ages in their banners. */
  #draw(scene) {
    const { sample, column, top, active, focused, stale, picked } = scene;
    const shown = [this.planned, sample.t, column, top, active, focused, stale, this.board.theme, devicePixelRatio, ...picked.entries()].join();
    if (shown === this.shown) return;
    this.shown = shown;
    draw(sharpen(this.canvas, scene.plan.width, scene.plan.height + 4), scene);
  }

  #scene(feed, sample, column, top) {
    const width = Math.floor(this.map.clientWidth) - 4;
    if (width < 40) return null;
    const key = `${feed.index}.${feed.version}.${width}`;
    if (this.planned !== key) {
      this.tree = grow(feed.entities);
      this.plan = plan(this.tree, width, MOST_HEIGHT);
      this.planned = key;
      this.active = Math.min(this.active ?? 0, feed.entities.length - 1);
    }
    const picked = new Map();
    const colours = linesOf(this.board.theme);
    this.board.view.selected.forEach((one, place) => {
      if (one.feed === feed.index) picked.set(feed.rows.get(one.id), colours[place % colours.length]);
    });
    return {
      feed, sample, column, top, picked, plan: this.plan, tree: this.tree, active: this.active,
      inks: inks(this.board.root), focused: this.map.matches(":focus-visible"), stale: this.board.isStale(feed),
    };
  }

  /** "gpu 3 in node 1: busy 87 %" */
  sentence(feed, sample, column, row) {
    const entity = feed.entities[row];
    const value = feed.value(sample, row, column);
    const words = Number.isNaN(value) ? STATE_WORDS[feed.state(sample, row, column)] : say(value, feed.metrics[column].unit);
    return `${entity.path.at(-1)} in ${entity.path.slice(0, -1).join(", ")}: ${feed.metrics[column].label} ${words}`;
  }

  #tell(feed, sample, column) {
    if (this.active === null || !feed.entities.length) return;
    setText(this.option, this.sentence(feed, sample, column, this.active));
    const selected = this.board.view.isSelected(feed.index, feed.entities[this.active].id);
    this.option.setAttribute("aria-selected", String(selected));
    this.option.setAttribute("aria-posinset", String(this.active + 1));
    this.option.setAttribute("aria-setsize", String(feed.entities.length));
  }

  #listen() {
    this.map.addEventListener("keydown", (event) => this.#key(event));
    this.map.addEventListener("focus", () => this.board.schedule());
    this.map.addEventListener("blur", () => this.board.schedule());
    this.canvas.addEventListener("pointermove", (event) => this.#point(event));
    this.canvas.addEventListener("pointerleave", () => {
      this.pointed = null;
      show(this.tip, false);
    });
    this.canvas.addEventListener("click", (event) => {
      const cell = this.#cell(event);
      if (!cell) return;
      this.active = cell.row;
      this.#pick(cell.row, event.ctrlKey || event.metaKey || event.shiftKey);
    });
  }

  #cell(event) {
    if (!this.plan) return null;
    const at = this.canvas.getBoundingClientRect();
    return hit(this.plan.cells, event.clientX - at.left, event.clientY - at.top);
  }

  #pick(row, adding) {
    const { feed } = this;
    this.board.view.pick(feed.index, feed.entities[row].id, adding);
  }

  #key(event) {
    const { feed } = this;
    if (!feed || !this.plan) return;
    const way = ARROWS[event.key];
    if (way) this.#move(way);
    else if (event.key === "Home" || event.key === "End") {
      this.active = this.plan.cells.at(event.key === "Home" ? 0 : -1).row;
    } else if (event.key === "Enter" || event.key === " ") this.#pick(this.active, event.ctrlKey || event.shiftKey);
    else if (event.key === "Escape") this.board.view.set({ open: null, selected: [] });
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has shortcuts on the same keys
    this.board.schedule();
  }

  #move([dx, dy]) {
    const from = this.plan.cells.find((cell) => cell.row === this.active) ?? this.plan.cells[0];
    if (from) this.active = neighbour(this.plan.cells, from, dx, dy).row;
  }

  /** The read-out beside the pointer; painted again with every sample, for the pointer may rest. */
  #point(event) {
    this.pointed = event;
    const { feed, board } = this;
    const sample = feed && board.view.sample(feed);
    const cell = this.#cell(event);
    const box = this.canvas.getBoundingClientRect();
    const group = cell || !this.plan ? null : groupAt(this.plan.groups, event.clientX - box.left, event.clientY - box.top);
    this.canvas.style.cursor = cell ? "pointer" : "default";
    show(this.tip, Boolean((cell || group) && sample));
    if (!sample || !(cell || group)) return;
    const names = [...new Set([feed.metrics[this.column(feed)].name, "busy", "memory_used", "power", "temperature"])];
    const columns = names.map((name) => feed.columns.get(name)).filter((column) => column !== undefined);
    const path = cell ? feed.entities[cell.row].path : [many(group.rows.length, "device"), group.name];
    this.tip.replaceChildren(h("b", {}, path.at(-1)), h("span", { class: "af-muted" }, path.slice(0, -1).join(" › ")),
      ...columns.map((column) => (cell ? this.#tipLine(feed, sample, cell.row, column) : this.#meanLine(feed, sample, group.rows, column))));
    const at = this.element.getBoundingClientRect();
    const [x, y] = [event.clientX - at.left, event.clientY - at.top];
    this.tip.style.left = `${Math.max(0, Math.min(x + 14, at.width - this.tip.offsetWidth - 4))}px`;
    this.tip.style.top = `${y + 18}px`;
  }

  #meanLine(feed, sample, rows, column) {
    const { mean } = feed.sums(sample, column, rows);
    const { label, unit } = feed.metrics[column];
    return h("span", { class: "af-pair" }, h("span", { class: "af-muted" }, `${label}, mean`), h("span", {}, Number.isNaN(mean) ? "–" : say(mean, unit)));
  }

  #tipLine(feed, sample, row, column) {
    const value = feed.value(sample, row, column);
    const words = Number.isNaN(value) ? STATE_WORDS[feed.state(sample, row, column)] : say(value, feed.metrics[column].unit);
    return h("span", { class: "af-pair" }, h("span", { class: "af-muted" }, feed.metrics[column].label), h("span", {}, words));
  }

  /** What a screen reader hears now and then. */
  summary() {
    const { feed } = this;
    const sample = feed && this.board.view.sample(feed);
    if (!sample || !feed.metrics.length) return "";
    const column = this.column(feed);
    const { mean, states } = feed.sums(sample, column);
    const lost = states[2] ? `, ${many(states[2], "lost", "lost")}` : "";
    const number = Number.isNaN(mean) ? "unknown" : say(mean, feed.metrics[column].unit);
    return `${feed.metrics[column].label}: mean ${number}${lost}`;
  }
}
