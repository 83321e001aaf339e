// One small chart over time: uPlot with the house's axes, read-out, stage bands, zoom by drag and wheel.

import uPlot from "uplot";
import { h, setText } from "./dom.js";
import { faded, stationColour } from "./palette.js";
import { axisRange } from "./series.js";
import { clock, say, span, tickWords } from "./words.js";

export class Chart {
  /** board: whose view is followed; title (or the names of its lines), unit; height in pixels; first: whether the bands' names stand here. */
  constructor(board, { title, unit, height = 120, named = false }) {
    Object.assign(this, { board, unit, height, named, plot: null, shape: "" });
    this.value = h("span", { class: "af-chart-value" });
    const names = typeof title === "string" ? [] : title;
    this.swatches = names.length > 1 ? names.map(() => h("span", { class: "af-swatch af-line" })) : [];
    const parts = names.map((name, i) => h("span", { class: "af-swatched" }, this.swatches[i] ?? null, name));
    this.title = h("span", { class: "af-chart-title" }, ...(names.length ? parts : [title]));
    this.host = h("div", { class: "af-plot" });
    this.element = h("figure", { class: "af-chart", role: "img", "aria-label": this.title.textContent },
      h("figcaption", {}, this.title, this.value), this.host);
  }

  /** Show lines [{colour, width?, fill?}] and their data [times, …values]; band: [most, least] filled between. */
  paint(lines, data, band = null) {
    const { view, feeds, theme } = this.board;
    const width = Math.floor(this.host.clientWidth);
    if (width < 60) return;
    const shape = JSON.stringify([lines, band, theme]);
    if (shape !== this.shape) this.#make(lines, band, width);
    this.shape = shape;
    if (this.plot.width !== width) this.plot.setSize({ width, height: this.height });
    this.data = data;
    this.plot.setData(data, false);
    const [min, max] = view.range(feeds);
    this.plot.setScale("x", { min, max });
    this.read();
  }

  /** The words at the right of the title: under the pointer, else now. */
  read() {
    const { view } = this.board;
    if (this.swatches.length) return; // two lines and one number would only confuse
    const place = view.cursor !== null && this.plot ? this.plot.cursor.idx : null;
    const at = place ?? lastPlace(this.data);
    const value = at === null ? null : this.data?.[1]?.[at];
    const when = place !== null && this.data?.[0]?.[place] ? `${clock(this.data[0][place])}  ` : "";
    setText(this.value, value === null || value === undefined ? `${when}–` : when + say(value, this.unit));
  }

  destroy() {
    this.plot?.destroy();
    this.plot = null;
    this.shape = "";
  }

  #make(lines, band, width) {
    this.swatches.forEach((swatch, i) => swatch.style.setProperty("--af-swatch", lines[i]?.colour ?? "transparent"));
    this.plot?.destroy();
    this.host.replaceChildren();
    const { inks, view, key } = this.board;
    const axis = { stroke: inks.muted, font: `11px ${inks.font}`, ticks: { show: false } };
    const grid = { stroke: inks.line, width: 1 };
    this.plot = new uPlot({
      width, height: this.height, legend: { show: false }, pxAlign: 1, padding: [6, 8, 0, 0],
      scales: { x: { time: true }, y: { range: (_, least, most) => axisRange(this.unit, least, most) } },
      axes: [
        { ...axis, grid: { show: false }, size: 25, gap: 6, space: 50, values: (u, ticks, _, __, step) => ticks.map((t) => (nearEdge(u, t) ? "" : clock(t, step < 60))) },
        { ...axis, grid, size: (_, labels) => Math.max(50, ...(labels ?? []).map((label) => 10 + label.length * 6.3)), gap: 4, space: 24, values: (_, ticks) => ticks.map((tick) => tickWords(tick, this.unit)) },
      ],
      series: [{}, ...lines.map(({ colour, width: stroke = 1.6, fill, dash }) => ({
        stroke: colour, width: stroke, fill, dash, points: { show: false }, spanGaps: false,
      }))],
      bands: band ? [{ series: band.series, fill: band.fill }] : [],
      cursor: {
        sync: { key, setSeries: false }, y: false, points: { size: 6 },
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => view.set({ zoom: null }) },
      },
      hooks: { drawClear: [(u) => this.#bands(u)], setCursor: [(u) => this.#cursor(u)], setSelect: [(u) => this.#zoom(u)] },
    }, [[], ...lines.map(() => [])], this.host);
    this.plot.over.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  /** Stations at work, as bands behind the lines. */
  #bands(u) {
    const { ctx, bbox } = u;
    const ratio = uPlot.pxRatio;
    const { min, max } = u.scales.x;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const { station, start, stop } of this.board.store.extras.bands) {
      if (start > max || (stop ?? Infinity) < min) continue;
      const left = Math.max(bbox.left, u.valToPos(start, "x", true));
      const right = stop === null || stop === undefined ? bbox.left + bbox.width : u.valToPos(stop, "x", true);
      ctx.fillStyle = faded(stationColour(station), 0.13);
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
      ctx.fillStyle = stationColour(station);
      ctx.fillRect(left, bbox.top, right - left, 2 * ratio);
      if (this.named) this.#name(ctx, station, left, right, bbox.top, ratio);
    }
    ctx.restore();
  }

  #name(ctx, station, left, right, top, ratio) {
    ctx.font = `600 ${10 * ratio}px ${this.board.inks.font}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "top";
    if (ctx.measureText(station).width + 8 * ratio > right - left) return;
    ctx.fillStyle = this.board.inks.ink;
    ctx.fillText(station, left + 4 * ratio, top + 4 * ratio);
  }

  #cursor(u) {
    const { left } = u.cursor;
    const cursor = left >= 0 ? u.posToVal(left, "x") : null;
    if (cursor === this.board.view.cursor && cursor === null) return;
    this.board.view.cursor = cursor;
    this.board.readCharts();
  }

  #zoom(u) {
    const { left, width } = u.select;
    if (width < 4) return;
    const zoom = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.board.view.set({ zoom });
  }

  /** Ctrl and wheel (or a pinch) zooms, shift and wheel pans; a plain wheel is the page's. */
  #wheel(event) {
    const { view, feeds } = this.board;
    const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    const zooms = event.ctrlKey || event.metaKey;
    if (!zooms && !event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    const [from, to] = view.range(feeds);
    const box = this.plot.over.getBoundingClientRect();
    const at = this.plot.posToVal(event.clientX - box.left, "x");
    if (zooms) view.zoomBy(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.01), at, feeds);
    else view.panBy((across / box.width) * (to - from), feeds);
  }
}

/** Whether a label at `t` would be cut off by the right edge. */
function nearEdge(u, t) {
  const { min, max } = u.scales.x;
  return ((max - t) / (max - min)) * (u.bbox.width / uPlot.pxRatio) < 20;
}

function lastPlace(data) {
  if (!data?.[0]?.length) return null;
  return data[0].length - 1;
}

/** "last 60 s", or from when to when. */
export function rangeWords(view) {
  if (view.zoom) return `${clock(view.zoom[0])} – ${clock(view.zoom[1])}`;
  return view.window === Infinity ? "all that is kept" : `last ${span(view.window)}`;
}
