// One chart over tokens instead of time: linear or logarithmic, with named levels to compare with, zoom by drag.

import uPlot from "uplot";
import { h, setText } from "./dom.js";
import { amount, say, three } from "./words.js";

const LABEL_PX = 13;

export class Curve {
  /** panel: whose zoom and axis are followed; title, unit; height in pixels; points: whether each value is marked. */
  constructor(panel, { title, unit = "", height = 120, points = false }) {
    Object.assign(this, { panel, unit, height, points, plot: null, shape: "", data: null, levels: [] });
    this.value = h("span", { class: "af-chart-value" });
    this.title = h("span", { class: "af-chart-title" }, title);
    this.host = h("div", { class: "af-plot" });
    this.element = h("figure", { class: "af-chart", role: "img", "aria-label": title },
      h("figcaption", {}, this.title, this.value), this.host);
  }

  /** lines: [{colour, width}]; data: [tokens, …values]; levels: [{name, value, colour}] drawn across. */
  paint(lines, data, levels = []) {
    const { board, log } = this.panel;
    const width = Math.floor(this.host.clientWidth);
    if (width < 60) return;
    const gutter = levels.length ? 12 + 6.8 * Math.max(...levels.map(({ name, value }) => named(name, value).length)) : 10;
    const shape = JSON.stringify([lines, log, board.theme, gutter]);
    if (shape !== this.shape) this.#make(lines, width, gutter);
    this.shape = shape;
    if (this.plot.width !== width) this.plot.setSize({ width, height: this.height });
    this.levels = levels;
    const key = JSON.stringify([data, levels, this.panel.range()]);
    if (key === this.drawn) return; // nothing new: a canvas drawn again costs a frame
    this.drawn = key;
    this.data = data;
    this.plot.setData(data, false);
    const [min, max] = this.panel.range();
    this.plot.setScale("x", { min, max });
    this.read();
  }

  /** The words at the right of the title: under the pointer, else the newest. */
  read() {
    const values = this.data?.[this.data.length - 1] ?? [];
    const at = this.panel.pointed ? this.plot?.cursor.idx : null;
    const place = at ?? values.findLastIndex((value) => value !== null);
    const value = values[place];
    const where = at !== null && at !== undefined ? `${amount(this.data[0][place])} tokens  ` : "";
    setText(this.value, where + (value === null || value === undefined ? "–" : say(value, this.unit)));
  }

  destroy() {
    this.plot?.destroy();
    this.plot = null;
    this.shape = this.drawn = "";
  }

  #make(lines, width, gutter) {
    this.plot?.destroy();
    this.drawn = "";
    this.host.replaceChildren();
    const { board, log, key } = this.panel;
    const { inks } = board;
    const axis = { stroke: inks.muted, font: `11px ${inks.font}`, ticks: { show: false } };
    this.plot = new uPlot({
      width, height: this.height, legend: { show: false }, pxAlign: 1, padding: [8, gutter, 0, 0],
      scales: { x: { time: false, distr: log ? 3 : 1, range: (_, least, most) => [least, most] }, y: { range: (_, least, most) => this.#range(least, most) } },
      axes: [
        { ...axis, grid: { show: false }, size: 25, gap: 6, space: 56, values: (u, ticks) => ticks.map((tick) => word(u, tick, log)) },
        { ...axis, grid: { stroke: inks.line, width: 1 }, size: (_, labels) => Math.max(44, ...(labels ?? []).map((label) => 10 + label.length * 6.3)), gap: 4, space: 26, values: (_, ticks) => ticks.map((tick) => short(tick, this.unit)) },
      ],
      series: [{}, ...lines.map(({ colour, width: stroke = 1.8 }) => ({
        stroke: colour, width: stroke, spanGaps: true, points: { show: this.points, size: 6, fill: colour },
      }))],
      cursor: { sync: { key, setSeries: false }, y: false, points: { size: 6 }, drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => () => this.panel.zoomTo(null) } },
      hooks: { draw: [(u) => this.#levels(u)], setCursor: [(u) => this.panel.point(u.cursor.left >= 0)], setSelect: [(u) => this.#zoom(u)] },
    }, [[], ...lines.map(() => [])], this.host);
  }

  /** A range around what is drawn and what it is compared with. */
  #range(least, most) {
    const values = [least, most, ...this.levels.map(({ value }) => value)].filter(Number.isFinite);
    if (!values.length) return [0, 1];
    const [low, high] = [Math.min(...values), Math.max(...values)];
    if (this.unit === "%" || this.unit === "tokens/s") return [0, high * 1.15 || 1];
    const room = (high - low || Math.abs(high) || 1) * 0.08;
    return [low - room, high + room];
  }

  /** Levels across the chart; their names stand in the gutter beside it, and move apart where they would overlap. */
  #levels(u) {
    const { ctx, bbox } = u;
    const ratio = uPlot.pxRatio;
    const shown = this.levels.map((level) => ({ ...level, y: u.valToPos(level.value, "y", true) })).sort((a, b) => a.y - b.y);
    const places = apart(shown.map(({ y }) => y / ratio), LABEL_PX, (bbox.top + bbox.height) / ratio);
    const right = bbox.left + bbox.width;
    ctx.save();
    ctx.font = `600 ${11 * ratio}px ${this.panel.board.inks.font}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.lineWidth = 1.4 * ratio;
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    shown.forEach(({ name, value, colour, y }, i) => {
      ctx.strokeStyle = ctx.fillStyle = colour;
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(right, y);
      ctx.stroke();
      ctx.fillText(named(name, value), right + 6 * ratio, places[i] * ratio);
    });
    ctx.restore();
  }

  #zoom(u) {
    const { left, width } = u.select;
    if (width < 4) return;
    const zoom = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.panel.zoomTo(zoom);
  }
}

const named = (name, value) => `${name} ${three(value)}`;

/** Ascending places, moved down and then up so that each keeps its distance and none is below the bottom. */
export function apart(places, distance, bottom) {
  const moved = [...places];
  for (let i = 1; i < moved.length; i++) moved[i] = Math.max(moved[i], moved[i - 1] + distance);
  let most = bottom;
  for (let i = moved.length - 1; i >= 0; i--) {
    moved[i] = Math.min(moved[i], most);
    most = moved[i] - distance;
  }
  return moved;
}

/** A tick of the tokens; nothing where it would be cut off, and on a logarithmic axis only powers of ten, their doubles and halves. */
function word(u, tick, log) {
  if (tick === null) return "";
  const { max } = u.scales.x;
  if (u.valToPos(tick, "x") > u.valToPos(max, "x") - 12) return "";
  if (log && ![1, 2, 5].includes(Number(String(tick)[0]))) return "";
  return amount(tick);
}

/** A tick of the values: the unit stands in the title. */
function short(tick, unit) {
  if (unit === "%") return say(tick, unit);
  return Math.abs(tick) >= 1000 ? amount(tick) : three(tick);
}
