// The queue: what waits and why, what runs and where, what ended and how.

import { h, rebuild, setText, show } from "./dom.js";
import { segments } from "./picker.js";
import { swatch } from "./projects.js";
import { clock, count, many, span } from "./words.js";

const PARTS = ["waiting", "running", "ended"];
const WORDS = { PENDING: "waits", REQUEUED: "waits again", RUNNING: "runs", COMPLETED: "done", FAILED: "failed", CANCELLED: "cancelled", TIMEOUT: "out of time" };
const NONE = { waiting: "No job waits.", running: "No job runs.", ended: "No job has ended lately." };

export class Queue {
  constructor(board, pick) {
    Object.assign(this, { board, pick, part: null });
    this.parts = segments("jobs shown", PARTS.map((value) => ({ value, text: value, title: `jobs ${value}` })), null, (part) => {
      this.part = part;
      board.schedule();
    });
    this.table = h("div", { class: "af-table af-queue", tabindex: "0", "aria-label": "jobs" });
    this.more = h("p", { class: "af-muted" });
    this.table.addEventListener("click", (event) => {
      const { job } = event.target.closest("[data-job]")?.dataset ?? {};
      if (job) this.pick(job);
    });
    this.element = h("section", { class: "af-part af-wide", "aria-label": "queue" },
      h("div", { class: "af-head" }, h("h4", {}, "Jobs"), h("div", { class: "af-controls" }, this.parts.element)), this.table, this.more);
  }

  paint(words, colours, now) {
    const { totals } = words;
    const part = this.part ?? (totals.waiting ? "waiting" : totals.running ? "running" : "ended");
    this.parts.update(part);
    [...this.parts.element.children].forEach((button, i) => setText(button, `${count(totals[PARTS[i]])} ${PARTS[i]}`));
    const rows = words.queue[part];
    rebuild(this.table, JSON.stringify([part, rows, [...colours]]), () => (rows.length ? [table(part, rows, colours)] : [h("p", { class: "af-quiet" }, NONE[part])]));
    const left = totals[part] - rows.length;
    setText(this.more, left > 0 ? `and ${many(left, "more job", "more jobs")}` : "");
    show(this.more, left > 0);
    const cells = this.table.querySelectorAll("td.af-lasts");
    rows.forEach((row, i) => cells[i] && setText(cells[i], lasts(part, row, now)));
  }
}

const CLASSES = { GPUs: "af-number", user: "af-spare", priority: "af-spare" };
const LAST = { waiting: ["for", "why it waits"], running: ["for", "on"], ended: ["when", "how"] };

function table(part, rows, colours) {
  const heads = ["job", "project", "user", "priority", "GPUs", ...LAST[part]];
  return h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col", class: CLASSES[head] }, head)))),
    h("tbody", {}, ...rows.map((row) => h("tr", { "data-job": row.id },
      h("td", { class: "af-job" }, h("b", { class: "af-name", title: row.name }, row.name), h("span", { class: "af-muted" }, ` ${row.id}`)),
      h("td", {}, h("span", { class: "af-swatched" }, swatch(colours.get(row.project) ?? "#8C8C8C", "af-mine"), h("span", { class: "af-name", title: row.project }, row.project))),
      h("td", { class: "af-spare" }, row.user), h("td", { class: "af-spare" }, row.priority),
      h("td", { class: "af-number" }, gpuWords(row)),
      h("td", { class: "af-lasts" }),
      h("td", { class: "af-why-cell" }, ...why(part, row))))));
}

const gpuWords = ({ gpus, nodes }) => (nodes > 1 ? `${gpus} on ${nodes} nodes` : String(gpus));

function lasts(part, row, now) {
  if (part === "waiting") return row.submitted === null ? "" : span(now - row.submitted);
  if (part === "running") return row.started === null ? "" : span(now - row.started);
  return row.ended === null ? "" : clock(row.ended);
}

/** The engine's sentence without the name of the job, which stands in the same row. */
export function reasonOf({ id, why: sentence }) {
  return sentence.startsWith(`job ${id} `) ? sentence.replace(/^job \S+ (\(.*?\) )?waits( again)?( because|:|,| for) /, (_all, _name, _again, how) => (how === " for" ? "for " : "")) : sentence;
}

function why(part, row) {
  if (part === "waiting") {
    const again = row.state === "REQUEUED" ? h("span", { class: "af-tag" }, WORDS.REQUEUED) : null;
    return [again, row.why ? h("span", {}, reasonOf(row)) : null, row.why ? null : h("span", { class: "af-muted" }, row.reason)];
  }
  if (part === "running") {
    return [row.borrowed ? h("span", { class: "af-tag" }, "borrowed") : null, row.attempts > 1 ? h("span", { class: "af-tag" }, `attempt ${row.attempts}`) : null, row.where];
  }
  const took = row.started !== null && row.ended !== null ? ` after ${span(row.ended - row.started)}` : "";
  const reason = row.reason && row.reason.toLowerCase() !== row.state.toLowerCase() && row.reason !== "None" ? `: ${row.reason}` : "";
  return [h("span", { class: `af-tag af-state-${row.state.toLowerCase()}` }, WORDS[row.state] ?? row.state), h("span", { class: "af-muted" }, took + reason)];
}
