// The fleet, live: who uses and who borrows, which job has which GPU, when it ran, what waits and why.

import { Absent } from "./absent.js";
import { h, rebuild, setText, show } from "./dom.js";
import { Gantt } from "./gantt.js";
import { GpuMap } from "./gpumap.js";
import { coloursOf } from "./projects.js";
import { Queue } from "./queue.js";
import { hoursOf, Quota } from "./quota.js";
import { Tiles } from "./tiles.js";
import { count, many, span } from "./words.js";

const START = "fleet.Fleet().submit(train, gpus=1)";

export class Jobs {
  constructor(board) {
    Object.assign(this, { board, untimed: true, words: null, picked: null });
    const pick = (job) => this.#pick(job);
    this.title = h("h3", { class: "af-section" }, "Jobs and quota");
    this.absent = new Absent(board, ["fleet"]);
    this.why = h("p", {});
    this.line = h("code", {});
    this.empty = h("div", { class: "af-absent" }, this.why, this.line);
    this.name = h("b", {});
    this.pretend = h("span", { class: "af-badge", title: "counted by the scheduler, with no hardware behind them" }, h("b", {}, "pretend"), " GPUs");
    this.reason = h("span", { class: "af-muted" });
    this.links = h("div", { class: "af-controls" });
    this.limits = h("p", { class: "af-limits" });
    this.idle = h("ul", { class: "af-idles" });
    this.tiles = new Tiles();
    this.parts = [new Quota(), new GpuMap(pick), new Gantt(board, pick), new Queue(board, pick)];
    const [quota, map, gantt, queue] = this.parts.map((part) => part.element);
    this.body = h("article", { class: "af-jobs" },
      h("header", {}, h("div", { class: "af-title" }, this.name, this.pretend, this.reason), this.links),
      this.limits, this.tiles.element, this.idle, h("div", { class: "af-two" }, quota, map), gantt, queue);
    this.element = h("section", { class: "af-panel", "aria-label": "jobs and quota" }, this.title, this.absent.element, this.empty, this.body);
  }

  paint() {
    const { store, view, theme, panels, feeds } = this.board;
    if (view.paused === null || this.words === null) this.words = store.extras.jobs;
    const { words } = this;
    const here = Boolean(words?.engine);
    const alone = panels.length === 1;
    show(this.element, here || alone);
    show(this.title, !alone);
    this.absent.paint();
    show(this.body, here);
    const told = store.extras.absent.some(({ role }) => role === "fleet");
    show(this.empty, !here && store.answered && !told);
    this.#nothing(words?.absent);
    if (!here) return;
    const now = view.now(feeds.filter(({ role }) => role === "fleet"));
    const colours = coloursOf(words, theme);
    this.#head(words);
    this.tiles.update(fleetNumbers(words));
    this.#idle(words, now);
    for (const part of this.parts) part.paint(words, colours, now);
    this.#mark();
  }

  #nothing(absent) {
    setText(this.why, absent ? absent.reason : "No fleet on this machine yet. This sends a first job, and the fleet appears here by itself:");
    setText(this.line, absent ? absent.mend : START);
    show(this.line, Boolean(this.line.textContent));
  }

  #head({ engine, dashboards }) {
    setText(this.name, engine.name);
    show(this.pretend, engine.pretend);
    setText(this.reason, engine.reason);
    setText(this.limits, engine.limits ? `Limits: ${engine.limits}` : "");
    show(this.limits, Boolean(engine.limits));
    const safe = dashboards.filter(({ link }) => /^https?:\/\//.test(link));
    rebuild(this.links, JSON.stringify(safe), () => safe.map(({ name, link, job }) =>
      h("a", { href: link, target: "_blank", rel: "noopener", class: "af-button", title: `job ${job}: tasks and workers of this gang, as Dask shows them` }, `Dask dashboard of ${name} ↗`)));
  }

  #idle({ idle, jobs }, now) {
    show(this.idle, idle.length > 0);
    rebuild(this.idle, JSON.stringify(idle), () => idle.map(() => h("li")));
    idle.forEach((one, i) => setText(this.idle.children[i], idleWords(one, jobs, now)));
  }

  #pick(job) {
    this.picked = this.picked === job ? null : job;
    this.board.schedule();
  }

  /** Let everything of the picked job stand out. */
  #mark() {
    const { picked } = this;
    this.body.classList.toggle("af-picking", picked !== null);
    for (const element of this.body.querySelectorAll(picked === null ? ".af-picked" : "[data-job]")) {
      element.classList.toggle("af-picked", element.dataset.job === picked);
    }
  }

  summary() {
    const { words } = this;
    if (!words?.engine) return "";
    const { used, gpus, waiting } = words.totals;
    return `${used} of ${many(gpus, "GPU")} in use, ${many(waiting, "job")} waiting`;
  }

  read() {}
}

/** One idle allocation in a sentence. */
export function idleWords({ job, devices, since, by }, jobs, now) {
  const { name = job, project = "", gpus = devices.length } = jobs[job] ?? {};
  const whose = by === "GPU" ? "they have" : "its processes have";
  return `${name} (job ${job}, ${project}) holds ${many(gpus, "GPU")}; ${whose} done nothing for ${span(now - since)}.`;
}

/** The large numbers of a fleet. */
export function fleetNumbers({ totals, projects, usage, usage_days: days, idle, jobs }) {
  const { gpus, used, asked, borrowed, waiting, running, nodes } = totals;
  const quota = projects.some((one) => one.quota !== null);
  const held = idle.reduce((sum, { job, devices }) => sum + (jobs[job]?.gpus ?? devices.length), 0);
  const hours = usage.reduce((sum, one) => sum + one.gpu_hours, 0);
  return [
    { label: "GPUs in use", value: gpus ? String(used) : "–", under: gpus ? `of ${count(gpus)} on ${many(nodes, "node")}` : "no GPUs are counted", share: gpus ? used / gpus : 0 },
    { label: "jobs that run", value: count(running), under: "" },
    { label: "jobs that wait", value: count(waiting), under: waiting ? `ask for ${many(asked, "GPU")}` : "" },
    ...(quota ? [{ label: "GPUs borrowed", value: count(borrowed), under: borrowed ? "given back when their owners ask" : "everybody is within the quota" }] : []),
    { label: "held and idle", title: "GPUs that are allocated and do nothing", value: count(held), under: held ? "allocated, do nothing" : "none that is known of", bad: held > 0 },
    { label: "GPU-hours", value: hoursOf(hours), under: `in the last ${days} days` },
  ];
}
