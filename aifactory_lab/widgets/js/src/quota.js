// Who uses and who borrows: a bar for each project against its quota, and its GPU-hours.

import { h, rebuild, setText } from "./dom.js";
import { swatch } from "./projects.js";
import { count, many } from "./words.js";

export class Quota {
  constructor() {
    this.title = h("h4", {});
    this.rows = h("div", { class: "af-quotas" });
    this.legend = h("div", { class: "af-legend" });
    this.none = h("p", { class: "af-muted" }, "No project has a job yet.");
    this.element = h("section", { class: "af-part", "aria-label": "projects" }, this.title, this.none, this.rows, this.legend);
  }

  paint(words, colours) {
    const { projects } = words;
    this.none.hidden = projects.length > 0;
    rebuild(this.rows, JSON.stringify([projects, words.usage, [...colours], words.totals.gpus]), () => {
      const bars = quotaBars(projects, words.totals.gpus);
      return projects.map((project, i) => row(project, bars[i], colours.get(project.project), words));
    });
    const quota = projects.some((one) => one.quota !== null);
    setText(this.title, `Projects: GPUs in use${quota ? " against quota" : ""}`);
    const marks = [["af-mine", "within the quota"], ["af-mine af-borrowed", "borrowed from others"], ["af-limit", "quota"]];
    rebuild(this.legend, String(quota && projects.length), () => (quota ? marks.map(([kind, text]) => h("span", { class: "af-swatched" }, swatch("#8C8C8C", kind), text)) : []));
  }
}

function row(project, bar, colour, { usage, usage_days: days }) {
  const share = (name, value, extra = "") => {
    const element = h("span", { class: `af-share ${extra}` });
    element.style.width = `${100 * value}%`;
    element.style.setProperty("--af-swatch", colour);
    return element;
  };
  const limit = h("span", { class: "af-limit-mark" });
  if (bar.quota !== null) limit.style.left = `${100 * bar.quota}%`;
  return h("div", { class: "af-quota", title: sentence(project) },
    h("span", { class: "af-name", title: project.project }, project.project),
    h("span", { class: "af-quota-bar", role: "img", "aria-label": sentence(project) }, share("own", bar.own), share("borrowed", bar.borrowed, "af-borrowed"), bar.quota === null ? null : limit),
    h("span", { class: "af-number" }, project.quota === null ? String(project.used) : `${project.used} of ${project.quota}`),
    h("span", { class: "af-number af-muted", title: hoursWords(project.project, usage, days) }, project.gpu_hours === null ? "" : `${hoursOf(project.gpu_hours)}\u202fGPU-h`),
    h("span", { class: "af-quota-more af-muted" }, more(project)));
}

/** Shares of the width: within the quota, borrowed, and where the quota ends; all projects on one scale. */
export function quotaBars(projects, gpus) {
  const scale = Math.max(1, gpus, ...projects.flatMap(({ quota, used }) => [quota ?? 0, used ?? 0]));
  return projects.map(({ quota, used, borrowed }) => ({
    own: Math.max(0, (used ?? 0) - (borrowed ?? 0)) / scale,
    borrowed: (borrowed ?? 0) / scale,
    quota: quota === null ? null : quota / scale,
  }));
}

/** Hours: decimals while they are few. */
export const hoursOf = (value) => (value < 100 ? value.toFixed(value < 10 ? 2 : 1) : count(value));

/** The GPU-hours of a project by its people. */
export function hoursWords(project, usage, days) {
  const people = usage.filter((one) => one.project === project).map(({ user, gpu_hours: hours }) => `${user} ${hoursOf(hours)}`);
  return `GPU-hours in the last ${days} days${people.length ? `: ${people.join(", ")}` : ""}`;
}

function more({ borrowed, waiting, pending }) {
  const words = [];
  if (borrowed) words.push(`${borrowed} borrowed`);
  if (pending) words.push(waiting ? `${many(waiting, "GPU")} asked for` : `${many(pending, "job")} waiting`);
  return words.join(", ");
}

/** One project in a sentence, for a screen reader and under the pointer. */
export function sentence({ project, quota, used, borrowed, waiting, running, pending }) {
  const of = quota === null ? "" : ` of a quota of ${quota}`;
  const lent = borrowed ? `, ${borrowed} of them borrowed` : "";
  return `${project} uses ${many(used ?? 0, "GPU")}${of}${lent}; ${many(running ?? 0, "job")} running, ${pending ?? 0} waiting for ${many(waiting ?? 0, "GPU")}`;
}
