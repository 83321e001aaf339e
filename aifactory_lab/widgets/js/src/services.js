// Endpoints: what each answers, how fast, how well, and for how many joules.

import { Absent } from "./absent.js";
import { Chart } from "./chart.js";
import { h, rebuild, setText, show } from "./dom.js";
import { lines as linesOf } from "./palette.js";
import { broken, line, times, window } from "./series.js";
import { Tiles } from "./tiles.js";
import { say } from "./words.js";
import { LOST } from "./wire.js";
import { valueTable } from "./table.js";

const MOST = 6; // endpoints drawn; more stand in the table
const CHARTS = [
  { names: ["tokens_rate", "predictions_rate", "rows_rate", "requests_rate"], first: true },
  { names: ["running", "waiting"], words: ["in flight", "waiting"] },
  { names: ["latency_p50", "latency_p95", "latency_p99"], words: ["latency p50", "p95", "p99"] },
  { names: ["ttft_p50", "ttft_p95", "ttft_p99"], words: ["TTFT p50", "p95", "p99"] },
  { names: ["itl_p50", "itl_p95", "itl_p99"], words: ["ITL p50", "p95", "p99"] },
  { names: ["good_share"] },
];

/** {shown: [{label, value, unit, under, share}], hidden: [label]} of one service: what it exposes, and what not. */
export function serviceNumbers(feed, sample, row, options, output) {
  const get = (name) => feed.get(sample, row, name);
  const also = (name, word) => (Number.isFinite(get(name)) ? `${word} ${say(get(name), unitOf(feed, name))}` : "");
  const both = (...texts) => texts.filter(Boolean).join("\n");
  const rate = (label, name, under = "") => ({ label, value: get(name), unit: unitOf(feed, name), under, ...against(options, name, get(name)) });
  const times3 = (label, stem, title) => ({ label, title, value: get(`${stem}_p50`), unit: "s", under: both(also(`${stem}_p95`, "p95"), also(`${stem}_p99`, "p99")) });
  const slo = options.slo_ms ? `SLO ${say(options.slo_ms / 1e3, "s")}` : "";
  const tiles = [
    rate("tokens", "tokens_rate", also("prompt_tokens_rate", "prompts")),
    rate("predictions", "predictions_rate"),
    rate("rows", "rows_rate"),
    rate("requests", "requests_rate", get("errors_rate") > 0 ? also("errors_rate", "failed") : ""),
    { label: "in flight", value: get("running"), unit: "" },
    { label: "waiting", value: get("waiting"), unit: "" },
    times3("latency, median", "latency", "how long an answer takes"),
    times3("TTFT, median", "ttft", "time to first token"),
    times3("ITL, median", "itl", "inter-token latency"),
    { label: "within the SLO", value: get("good_share"), unit: "%", under: both(also("goodput", "goodput"), slo) },
  ];
  const exposed = (tile) => Number.isFinite(tile.value);
  return {
    shown: [...tiles.filter(exposed), joules(output?.services?.[feed.entities[row].id], output)],
    hidden: tiles.filter((tile) => !exposed(tile)).map(({ label }) => label.replace(", median", "")),
  };
}

function unitOf(feed, name) {
  const column = feed.columns.get(name);
  return column === undefined ? "" : feed.metrics[column].unit;
}

function against(options, name, value) {
  const peak = options.roofline?.[name];
  if (!peak || !Number.isFinite(value)) return {};
  return { share: value / peak, under: `${Math.round((value / peak) * 100)} % of ${say(peak, name.endsWith("tokens_rate") ? "tokens/s" : "/s")}` };
}

function joules(found, output) {
  const known = Number.isFinite(found?.joules_per_1000);
  const why = found?.why || output?.why || "unknown: no energy counter";
  return { label: "J per 1,000", value: known ? found.joules_per_1000 : NaN, unit: "J", under: known ? found.unit : why };
}

export class Services {
  constructor(board) {
    Object.assign(this, { board, table: true, blocks: new Map() });
    this.title = h("h3", { class: "af-section" }, "Throughput");
    this.empty = h("div", { class: "af-absent" }, h("p", {}, "No endpoint is announced on this machine. This starts one, and it appears here by itself:"), h("code", {}, "server = serve.start(bundle)"));
    this.absent = new Absent(board, ["service"]);
    this.list = h("div", { class: "af-services" });
    this.values = h("div", { class: "af-table", hidden: true });
    this.element = h("section", { class: "af-panel" }, this.title, this.absent.element, this.empty, this.list, this.values);
  }

  paint() {
    const { board } = this;
    this.absent.paint();
    show(this.title, board.panels.length > 1);
    const feeds = board.store.of("service").filter((feed) => board.view.sample(feed));
    const shown = feeds.flatMap((feed) => [...feed.entities.keys()].filter((row) => feed.entities[row].kind === "service").map((row) => ({ feed, row }))).slice(0, MOST);
    show(this.empty, board.store.answered && !shown.length && !board.store.extras.absent.some(({ role }) => role === "service"));
    rebuild(this.list, shown.map(({ feed, row }) => `${feed.index}.${feed.version}.${row}`).join("|"), () => {
      this.destroy();
      return shown.map(({ feed, row }) => {
        const block = new Block(board, feed, row, shown.length > 1);
        this.blocks.set(`${feed.index}.${row}`, block);
        return block.element;
      });
    });
    for (const block of this.blocks.values()) block.paint();
    const feed = feeds.find((one) => one.entities.length > 0);
    show(this.values, board.view.table && Boolean(feed));
    if (board.view.table && feed) valueTable(this.values, feed, board.view.sample(feed));
  }

  summary() {
    return [...this.blocks.values()].map((block) => block.summary()).join("; ");
  }

  read() {
    for (const block of this.blocks.values()) block.read();
  }

  destroy() {
    for (const block of this.blocks.values()) block.destroy();
    this.blocks = new Map();
  }
}

/** One service: its name, tiles, lines. */
class Block {
  constructor(board, feed, row) {
    Object.assign(this, { board, feed, row, tiles: new Tiles(), charts: [] });
    const { name, uid, path } = feed.entities[row];
    const title = name || path.at(-1);
    this.state = h("span", { class: "af-tag", hidden: true });
    this.grid = h("div", { class: "af-charts" });
    this.hidden = h("p", { class: "af-unexposed" });
    this.element = h("article", { class: "af-service" },
      h("header", {}, h("b", {}, title), h("span", { class: "af-muted" }, uid || path.slice(0, -1).join(" › ")), this.state), this.tiles.element, this.hidden, this.grid);
  }

  paint() {
    const { board, feed, row } = this;
    const sample = board.view.sample(feed);
    if (!sample) return;
    const lost = feed.metrics.length > 0 && [...feed.metrics.keys()].every((column) => feed.state(sample, row, column) === LOST);
    show(this.state, lost);
    setText(this.state, "does not answer");
    this.element.classList.toggle("af-lost", lost);
    const { shown, hidden } = serviceNumbers(feed, sample, row, board.options, board.store.extras.output);
    this.tiles.update(shown);
    show(this.hidden, hidden.length > 0 && !lost);
    rebuild(this.hidden, hidden.join("|"), () => ["not exposed: ", ...hidden.map((label) => h("span", {}, `${label} –`))]);
    const samples = window(feed, ...board.view.range(board.feeds));
    const wanted = CHARTS.map((chart) => ({ ...chart, names: this.#has(chart, samples) })).filter(({ names }) => names.length);
    this.#make(wanted);
    const colours = linesOf(board.theme);
    wanted.forEach(({ names }, i) => {
      const lines = names.map((name) => line(feed, samples, row, feed.columns.get(name)));
      this.charts[i].paint(names.map((_, k) => ({ colour: colours[k] })), broken(times(samples), lines, feed.period));
    });
  }

  /** The names of a chart that have values; of the rates only the first, for their units differ. */
  #has({ names, first }, samples) {
    const found = names.filter((name) => this.feed.columns.has(name)
      && samples.some((sample) => Number.isFinite(this.feed.get(sample, this.row, name))));
    return first ? found.slice(0, 1) : found;
  }

  #make(wanted) {
    rebuild(this.grid, JSON.stringify(wanted), () => {
      this.destroy();
      this.charts = wanted.map(({ names, words }, place) => {
        const metric = this.feed.metrics[this.feed.columns.get(names[0])];
        return new Chart(this.board, { title: names.length > 1 ? words.slice(0, names.length) : metric.label, unit: metric.unit, named: place === 0 });
      });
      return this.charts.map((chart) => chart.element);
    });
  }

  summary() {
    const sample = this.board.view.sample(this.feed);
    if (!sample) return "";
    const said = serviceNumbers(this.feed, sample, this.row, this.board.options, null).shown;
    return `${this.feed.entities[this.row].path.at(-1)}: ${said.slice(0, 2).map(({ label, value, unit }) => `${label} ${say(value, unit)}`).join(", ")}`;
  }

  read() {
    for (const chart of this.charts) chart.read();
  }

  destroy() {
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
  }
}
