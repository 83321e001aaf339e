// A training, live: how far, loss and held-out score over tokens, speed beside the peak, what the model writes.

import { Absent } from "./absent.js";
import { Curve } from "./curve.js";
import { h, rebuild, setText, show } from "./dom.js";
import { lines as linesOf, faded } from "./palette.js";
import { segments, toggle } from "./picker.js";
import { Tiles } from "./tiles.js";
import { amount, count, say, span } from "./words.js";

const AXES = [
  { value: false, text: "linear", title: "tokens on a linear axis" },
  { value: true, text: "log", title: "tokens on a logarithmic axis" },
];
const TAGS = { running: "at work", finished: "finished", stopped: "stopped", failed: "failed", dead: "died" };

export class Training {
  constructor(board) {
    Object.assign(this, { board, untimed: true, log: false, zoom: null, pointed: false, picked: null, words: null, key: `${board.key}-tokens`, scores: [] });
    this.absent = new Absent(board, ["training"]);
    this.empty = h("div", { class: "af-absent" }, h("p", {}, "No training runs on this machine yet. This starts one, and it appears here by itself:"), h("code", {}, "lm.pretrain.run(shards, tokenizer, out)"));
    this.name = h("b", {});
    this.state = h("span", { class: "af-tag" });
    this.reason = h("span", { class: "af-muted" });
    this.axis = segments("tokens", AXES, false, (log) => this.#set({ log, zoom: null }));
    this.reset = toggle("Reset zoom", "also: double-click a chart. Zoom: drag across a chart", () => this.zoomTo(null));
    this.bar = h("span");
    this.done = h("span");
    this.left = h("span");
    this.progress = h("div", { class: "af-progress" },
      h("div", { class: "af-pair" }, this.done, this.left),
      h("div", { class: "af-bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": "steps" }, this.bar));
    this.tiles = new Tiles();
    this.loss = new Curve(this, { title: "training loss, nats per token", height: 232 });
    this.rate = new Curve(this, { title: "tokens per second", unit: "tokens/s", height: 112 });
    this.mfu = new Curve(this, { title: "MFU, share of the peak", unit: "%", height: 112 });
    this.pace = new Curve(this, { title: "learning rate", height: 112 });
    this.large = h("div", { class: "af-charts af-large" });
    this.small = h("div", { class: "af-charts af-small" }, this.rate.element, this.mfu.element, this.pace.element);
    this.written = new Written(this);
    this.facts = h("dl", { class: "af-details" });
    this.about = h("div", { class: "af-about" }, h("h4", {}, "About this training"), this.facts);
    this.below = h("div", { class: "af-below" }, this.written.element, this.about);
    this.body = h("article", { class: "af-training" },
      h("header", {}, h("div", { class: "af-title" }, this.name, this.state, this.reason), h("div", { class: "af-controls" }, this.reset.element, h("span", { class: "af-muted" }, "tokens:"), this.axis.element)),
      this.progress, this.tiles.element, this.large, this.small, this.below);
    this.element = h("section", { class: "af-panel", "aria-label": "training" }, this.absent.element, this.empty, this.body);
  }

  paint() {
    const { store, view } = this.board;
    if (view.paused === null || this.words === null) this.words = store.extras.training;
    const { words } = this;
    const [feed] = store.of("training");
    this.absent.paint();
    const here = Boolean(words?.title !== undefined && feed);
    show(this.empty, store.answered && !here && !store.extras.absent.some(({ role }) => role === "training"));
    show(this.body, here);
    if (!here) return;
    this.#head(words);
    this.tiles.update(trainingNumbers(words, feed, view.sample(feed)));
    this.#curves(words);
    this.written.paint(words.samples);
    this.#facts(feed);
  }

  /** What the axis of tokens shows: the zoom, else all that is planned while it is at work, all that was seen after. */
  range() {
    if (this.zoom) return this.zoom;
    const { words } = this;
    const seen = words.curves.tokens;
    const last = words.state === "running" ? Math.max(words.planned ?? 0, words.tokens) : words.tokens;
    const first = this.log ? seen[0] ?? 1 : 0;
    return [first, last > first ? last : first + 1];
  }

  zoomTo(zoom) {
    this.#set({ zoom });
  }

  /** The pointer came over a chart, moved or left. */
  point(inside) {
    this.pointed = inside;
    for (const curve of this.#all()) curve.read();
  }

  #set(changes) {
    Object.assign(this, changes);
    this.board.schedule();
  }

  #all() {
    return [this.loss, ...this.scores, this.rate, this.mfu, this.pace];
  }

  #head(words) {
    setText(this.name, words.title);
    const silent = words.silent > 0;
    setText(this.state, silent ? `silent for ${span(words.silent)}` : TAGS[words.state] ?? words.state);
    this.state.dataset.state = silent ? "silent" : words.state;
    setText(this.reason, words.reason);
    this.axis.update(this.log);
    show(this.reset.element, this.zoom !== null);
    const share = words.steps ? words.step / words.steps : 0;
    this.bar.style.width = `${100 * Math.min(1, share)}%`;
    this.bar.parentElement.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    this.progress.dataset.state = silent ? "silent" : words.state;
    const steps = words.steps ? `step ${count(words.step)} of ${count(words.steps)}` : "before its first step";
    const planned = words.planned ? ` of ${count(words.planned)}` : "";
    setText(this.done, `${steps} · ${count(words.tokens)}${planned} tokens`);
    setText(this.left, `${Math.floor(100 * share)}\u202f%`);
  }

  #curves(words) {
    const { board } = this;
    const colours = linesOf(board.theme);
    const { tokens, loss, smooth, rate, mfu, learning_rate: pace } = words.curves;
    const names = words.scores.length ? words.scores.map(({ label }) => label) : ["held-out bits per byte"];
    rebuild(this.large, names.join("|"), () => {
      for (const curve of this.scores) curve.destroy();
      this.scores = names.map((title) => new Curve(this, { title, height: 232, points: true }));
      return [this.loss.element, ...this.scores.map((curve) => curve.element)];
    });
    this.loss.paint([{ colour: faded(colours[0], 0.32), width: 1.2 }, { colour: colours[0], width: 2.4 }], [tokens, loss, smooth]);
    const levels = words.baselines.map(([name, value], i) => ({ name, value, colour: colours[1 + (i % (colours.length - 1))] }));
    this.scores.forEach((curve, i) => {
      const score = words.scores[i] ?? { tokens: [], values: [] };
      curve.paint([{ colour: colours[0], width: 2.4 }], [score.tokens, score.values], i === 0 ? levels : []);
    });
    const known = (values) => values.some((value) => value !== null);
    for (const [curve, values, colour] of [[this.rate, rate, 2], [this.mfu, mfu, 3], [this.pace, pace, 6]]) {
      show(curve.element, known(values));
      if (known(values)) curve.paint([{ colour: colours[colour] }], [tokens, values]);
    }
  }

  #facts(feed) {
    const details = feed.facts.get(feed.entities[0]?.id)?.details ?? {};
    const told = Object.entries(details);
    show(this.about, told.length > 0);
    rebuild(this.facts, JSON.stringify(told), () => told.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  }

  summary() {
    const { words } = this;
    if (!words?.title) return "";
    return `${words.title} ${TAGS[words.state] ?? words.state}, step ${words.step} of ${words.steps}, loss ${say(words.curves.smooth.at(-1) ?? NaN, "")}`;
  }

  read() {}

  destroy() {
    for (const curve of this.#all()) curve.destroy();
  }
}

/** What the model writes: the newest sample, and the older ones by their step. */
class Written {
  constructor(panel) {
    this.panel = panel;
    this.steps = h("div", { class: "af-picker", role: "group", "aria-label": "samples by step" });
    this.text = h("pre", { class: "af-sample", tabindex: "0" });
    this.element = h("div", { class: "af-written" }, h("h4", {}, "What it writes"), this.steps, this.text);
  }

  paint(samples) {
    const { panel } = this;
    show(this.element, samples.length > 0);
    if (!samples.length) return;
    const shown = samples.find(({ step }) => step === panel.picked) ?? samples.at(-1);
    rebuild(this.steps, samples.map(({ step }) => step).join(), () => samples.slice(-8).map(({ step, tokens }) =>
      h("button", { type: "button", class: "af-chip", value: step, title: `after ${count(tokens)} tokens`, onclick: () => this.#pick(step, samples) }, `step ${amount(step)}`)));
    for (const button of this.steps.children) button.setAttribute("aria-pressed", String(Number(button.value) === shown.step));
    setText(this.text, shown.text);
  }

  /** The newest follows the training; an older one stays. */
  #pick(step) {
    const newest = Number(this.steps.lastElementChild.value);
    this.panel.picked = step === newest ? null : step;
    this.panel.board.schedule();
  }
}

const median = (rate) => (rate === null ? "" : `median ${say(rate, "tokens/s")}`);

/** Tiles of a training: readings of the moment while it runs, what was typical once it has ended. */
export function trainingNumbers(words, feed, sample) {
  const get = (name) => (sample && feed.entities.length ? feed.get(sample, 0, name) : NaN);
  const running = words.state === "running";
  const last = (values) => values?.at(-1) ?? NaN;
  const [score, ...others] = words.scores;
  const rate = running ? get("tokens_rate") : words.typical.rate ?? NaN;
  const mfu = running ? get("mfu") : words.typical.mfu ?? NaN;
  const of = words.peak ? `${running ? "" : "median, "}of ${words.peak}` : "peak not known";
  return [
    { label: "loss", value: last(words.curves.smooth), unit: "", under: "nats per token, smoothed" },
    { label: score ? score.name.replaceAll("_", " ") : "bits per byte", title: score?.label, value: last(score?.values), unit: "", under: words.standing },
    ...others.slice(0, 2).map(({ label, values }) => ({ label, value: last(values), unit: "", under: "held out" })),
    { label: "tokens per second", value: rate, unit: "tokens/s", under: running ? median(words.typical.rate) : `median of ${count(words.tokens)} tokens` },
    { label: "MFU", title: "share of the peak FLOP/s that the model's arithmetic uses", value: mfu, unit: "%", under: of, share: Number.isFinite(mfu) ? mfu / 100 : 0 },
    running ? { label: "time left", value: Number.isFinite(get("eta")) ? span(get("eta")) : "–", under: "at the present speed" }
      : { label: "took", value: span(words.took), under: "" },
  ];
}
