// When which job ran, and on which GPUs: bars over time, a gang as one block.

import { h, rebuild, s, setText, show } from "./dom.js";
import { segments } from "./picker.js";
import { colourOf } from "./projects.js";
import { clock, many, span } from "./words.js";

const MOST_GPU_ROWS = 40;
const MOST_JOB_ROWS = 24;
const AXIS = 22;
const LETTER = 6.2; // pixels a letter takes, about
const WINDOWS = [
  { value: 300, text: "5 min", title: "the last five minutes" },
  { value: 1800, text: "30 min", title: "the last half hour" },
  { value: 14_400, text: "4 h", title: "the last four hours" },
];
const ROWS = [
  { value: "gpus", text: "by GPU", title: "a row for each GPU" },
  { value: "jobs", text: "by job", title: "a row for each job" },
];
const STEPS = [10, 30, 60, 120, 300, 600, 1800, 3600];

export class Gantt {
  constructor(board, pick) {
    Object.assign(this, { board, pick, window: null, rows: null });
    this.windows = segments("time shown", WINDOWS, null, (window) => this.#set({ window }));
    this.kinds = segments("rows", ROWS, null, (rows) => this.#set({ rows }));
    this.plot = h("div", { class: "af-gantt" });
    this.more = h("p", { class: "af-muted" });
    this.plot.addEventListener("click", (event) => {
      const { job } = event.target.closest("[data-job]")?.dataset ?? {};
      if (job) this.pick(job);
    });
    this.element = h("section", { class: "af-part af-wide", "aria-label": "timeline of jobs" },
      h("div", { class: "af-head" }, h("h4", {}, "Timeline: when which job ran"), h("div", { class: "af-controls" }, this.kinds.element, this.windows.element)),
      this.plot, this.more);
  }

  #set(changes) {
    Object.assign(this, changes);
    this.board.schedule();
  }

  paint(words, colours, now) {
    const devices = words.nodes.flatMap(({ node, cells }) => cells.map((_, index) => `${node}:${index}`));
    const usual = devices.length > 0 && devices.length <= MOST_GPU_ROWS ? "gpus" : "jobs";
    const kind = this.rows ?? usual;
    const window = this.window ?? fitting(words.spans, now);
    this.windows.update(window);
    this.kinds.update(kind);
    show(this.kinds.element, usual === "gpus");
    const range = [now - window, now + window * 0.02];
    const shown = words.spans.filter(({ start, end }) => (end ?? now) > range[0] && start < range[1]);
    const plan = kind === "gpus" && usual === "gpus" ? gpuRows(shown, devices) : jobRows(shown, words.jobs);
    const width = Math.max(280, this.plot.clientWidth || 280);
    const key = JSON.stringify([plan, range, width, [...colours], this.board.theme]);
    rebuild(this.plot, key, () => (plan.bars.length ? [draw(plan, range, now, width, words, colours)] : [h("p", { class: "af-muted" }, `No job ran in the last ${span(window)}.`)]));
    setText(this.more, plan.left ? `${many(plan.left, "job")} not drawn here${kind === "gpus" ? ": they have no GPU of these, see by job" : ": older ones"}.` : "");
    show(this.more, Boolean(plan.left));
  }
}

/** The shortest window that shows all that ran lately. */
export function fitting(spans, now) {
  const first = spans.reduce((least, { start, end }) => (end === null || end > now - 900 ? Math.min(least, start) : least), now);
  return (WINDOWS.find(({ value }) => value >= now - first) ?? WINDOWS.at(-1)).value;
}

/** Rows by GPU: neighbours that have the same span are one bar. */
export function gpuRows(spans, devices) {
  const place = new Map(devices.map((device, row) => [device, row]));
  const bars = [];
  let left = 0;
  for (const one of spans) {
    const rows = one.devices.map((device) => place.get(device)).filter((row) => row !== undefined).sort((a, b) => a - b);
    if (!rows.length) left++;
    rows.forEach((row, i) => {
      if (i && row === rows[i - 1] + 1 && nodeOf(devices[row]) === nodeOf(devices[row - 1])) bars.at(-1).rows++;
      else bars.push({ ...bare(one), row, rows: 1 });
    });
  }
  const breaks = devices.flatMap((device, row) => (row && nodeOf(device) !== nodeOf(devices[row - 1]) ? [row] : []));
  return { labels: devices, bars, left, height: devices.length > 16 ? 13 : 18, breaks };
}

/** Rows by job: the newest at the top, all attempts of a job in its row. */
export function jobRows(spans, jobs) {
  const order = [...new Set(spans.map(({ job }) => job))].reverse();
  const drawn = order.slice(0, MOST_JOB_ROWS);
  const place = new Map(drawn.map((job, row) => [job, row]));
  const bars = spans.filter(({ job }) => place.has(job)).map((one) => ({ ...bare(one), row: place.get(one.job), rows: 1 }));
  return { labels: drawn.map((job) => jobs[job]?.name ?? job), bars, left: order.length - drawn.length, named: true, height: 18, breaks: [] };
}

const nodeOf = (device) => device.slice(0, device.lastIndexOf(":"));
const bare = ({ job, start, end, borrowed, state }) => ({ job, start, end, borrowed, state });

function draw({ labels, bars, height, breaks, named = false }, [from, to], now, width, words, colours) {
  const longest = Math.max(...labels.map((label) => label.length));
  const margin = Math.round(Math.min(width * 0.3, 12 + longest * LETTER));
  const inner = width - margin;
  const x = (time) => margin + ((Math.min(Math.max(time, from), to) - from) / (to - from)) * inner;
  const bottom = labels.length * height;
  const ticks = ticksOf(from, to, inner);
  return s("svg", { width, height: bottom + AXIS, role: "img", "aria-label": `${many(bars.length, "bar")} of jobs over time` },
    hatch(),
    ...labels.map((label, row) => s("rect", { class: `af-lane ${row % 2 ? "af-odd" : ""}`, x: margin, y: row * height, width: inner, height })),
    ...breaks.map((row) => s("line", { class: "af-break", x1: 0, x2: width, y1: row * height, y2: row * height })),
    ...ticks.map((time) => s("line", { class: "af-tick", x1: x(time), x2: x(time), y1: 0, y2: bottom })),
    ...labels.map((label, row) => s("text", { class: "af-lane-name", x: margin - 7, y: (row + 0.5) * height, "text-anchor": "end" }, clipped(label, margin - 10), s("title", {}, label))),
    ...bars.map((bar) => barOf(bar, x, height, now, words, colours, named)),
    s("line", { class: "af-now", x1: x(now), x2: x(now), y1: 0, y2: bottom }),
    ...ticks.map((time) => s("text", { class: "af-axis", x: x(time), y: bottom + 15, "text-anchor": "middle" }, clock(time, to - from < 900))));
}

/** Moments worth a line: round ones, far enough apart for their words. */
export function ticksOf(from, to, width) {
  const step = STEPS.find((one) => ((to - from) / one) * 72 <= width) ?? STEPS.at(-1) * 2;
  const zone = new Date(from * 1e3).getTimezoneOffset() * 60;
  const first = Math.ceil((from - zone) / step) * step + zone;
  const room = (30 / width) * (to - from); // so that no label is cut at an edge
  return Array.from({ length: Math.max(0, Math.floor((to - first) / step) + 1) }, (_, i) => first + i * step).filter((time) => time > from + room && time < to - room);
}

function barOf({ job, start, end, borrowed, state, row, rows }, x, height, now, words, colours, named) {
  const [left, right] = [x(start), Math.max(x(start) + 2, x(end ?? now))];
  const colour = colourOf(job, words, colours);
  const box = { x: left, y: row * height + 1.5, width: right - left, height: rows * height - 3, rx: 3 };
  const { name = job, project = "", gpus = 0, nodes = 1 } = words.jobs[job] ?? {};
  const long = `${name} (job ${job}) of ${project}${borrowed ? ", borrowed" : ""}: ${clock(start)} to ${end === null ? "now" : clock(end)}, ${span((end ?? now) - start)}, ${state.toLowerCase()}`;
  const bad = state === "FAILED" || state === "TIMEOUT" ? "af-failed" : state === "REQUEUED" || state === "CANCELLED" ? "af-cut" : "";
  const size = gpus ? `${many(gpus, "GPU")}${nodes > 1 ? ` on ${nodes} nodes` : ""}` : "";
  const text = clipped(named ? size : name, right - left - 10);
  return s("g", { class: `af-run ${bad}`, "data-job": job }, s("title", {}, long),
    s("rect", { ...box, fill: colour, class: end === null ? "af-live" : "af-past" }),
    borrowed ? s("rect", { ...box, fill: "url(#af-borrowed)" }) : null,
    bad ? s("rect", { class: "af-end", x: right - 3, y: box.y, width: 3, height: box.height }) : null,
    text.length > 2 ? s("text", { x: left + 6, y: box.y + box.height / 2 }, text) : null);
}

function hatch() {
  return s("defs", {}, s("pattern", { id: "af-borrowed", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    s("rect", { width: 3, height: 7, class: "af-stripes" })));
}

/** A name in so many pixels, with an ellipsis where it is cut. */
export function clipped(text, pixels) {
  const letters = Math.floor(pixels / LETTER);
  return text.length <= letters ? text : letters > 3 ? `${text.slice(0, letters - 1)}…` : "";
}
