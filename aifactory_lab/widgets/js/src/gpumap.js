// The nodes: a cell for every GPU, in the colour of the project that has it.

import { h, rebuild, setText } from "./dom.js";
import { colourOf, legend } from "./projects.js";
import { many } from "./words.js";

const UNSEEN = "?";
const CLOSED = new Set(["down", "drained", "draining", "fail"]);

export class GpuMap {
  /** pick: called with a job's id when its GPU is clicked. */
  constructor(pick) {
    this.pick = pick;
    this.map = h("div", { class: "af-nodes", tabindex: "0", "aria-label": "nodes and their GPUs" });
    this.more = h("p", { class: "af-muted" });
    this.legend = h("div", { class: "af-legend" });
    this.map.addEventListener("click", (event) => {
      const { job } = event.target.closest("[data-job]")?.dataset ?? {};
      if (job && job !== UNSEEN) this.pick(job);
    });
    this.element = h("section", { class: "af-part", "aria-label": "nodes" }, h("h4", {}, "Nodes: a cell for each GPU"), this.map, this.more, this.legend);
  }

  paint(words, colours) {
    const { nodes, nodes_more: others } = words;
    const idle = idleDevices(words.idle);
    rebuild(this.map, JSON.stringify([nodes, [...idle], words.jobs, [...colours]]), () => {
      this.map.dataset.size = sizeOf(words.totals.gpus);
      return nodes.length ? nodes.map((node) => this.#node(node, words, colours, idle)) : [h("p", { class: "af-muted" }, "This engine counts no nodes.")];
    });
    setText(this.more, others ? `and ${many(others, "more node", "more nodes")}, not drawn` : nodes.length && !words.totals.gpus ? "No GPU on these nodes: jobs run on CPU cores." : "");
    this.more.hidden = !this.more.textContent;
    const used = new Map([...colours].filter(([name]) => nodes.some(({ cells }) => cells.some((job) => words.jobs[job]?.project === name))));
    legend(this.legend, used, marksOf(words, idle));
  }

  #node(node, words, colours, idle) {
    const closed = CLOSED.has(node.state);
    const cells = node.cells.map((job, index) => {
      const kind = ["af-cell", closed ? "af-closed" : "", job ? "af-taken" : "", job === UNSEEN ? "af-unseen" : "", words.jobs[job]?.borrowed ? "af-borrowed" : "", idle.has(`${node.node}:${index}`) ? "af-idle" : ""];
      const element = h("span", { class: kind.filter(Boolean).join(" "), "data-job": job || null, title: cellWords(node, index, job, words, idle) });
      if (job && job !== UNSEEN) element.style.setProperty("--af-swatch", colourOf(job, words, colours));
      return element;
    });
    const under = closed ? node.state : node.gpus ? `${node.used} of ${node.gpus}` : `${node.cpus_used ?? 0} of ${node.cpus ?? 0} cores`;
    return h("div", { class: `af-node ${closed ? "af-out" : ""}`, title: nodeWords(node) },
      h("div", { class: "af-pair" }, h("span", { class: "af-name", title: node.node }, node.node), h("span", { class: "af-muted" }, under)),
      h("div", { class: "af-cells" }, ...cells));
  }
}

/** How large a cell is drawn, by how many there are. */
export function sizeOf(gpus) {
  return gpus <= 32 ? "large" : gpus <= 160 ? "middle" : "small";
}

/** "n1:0" → since when it has done nothing. */
export function idleDevices(idle) {
  return new Map(idle.flatMap(({ devices, since }) => devices.map((device) => [device, since])));
}

function marksOf({ nodes, jobs }, idle) {
  const cells = nodes.flatMap((node) => node.cells);
  const marks = [];
  if (cells.some((job) => jobs[job]?.borrowed)) marks.push(["af-mine af-borrowed", "borrowed"]);
  if (idle.size) marks.push(["af-mine af-idle", "allocated, does nothing"]);
  if (cells.includes(UNSEEN)) marks.push(["af-unseen", "in use, not by this fleet"]);
  if (cells.includes("")) marks.push(["af-free", "free"]);
  if (nodes.some(({ state }) => CLOSED.has(state))) marks.push(["af-closed", "down or drained"]);
  return marks;
}

function cellWords(node, index, job, words, idle) {
  const where = `${node.node}, GPU ${index}: `;
  if (!job) return where + (CLOSED.has(node.state) ? node.state : "free");
  if (job === UNSEEN) return `${where}in use, not by a job of this fleet`;
  const { name = "", project = "", borrowed = false } = words.jobs[job] ?? {};
  return `${where}${name} (job ${job}) of ${project}${borrowed ? ", borrowed" : ""}${idle.has(`${node.node}:${index}`) ? ", does nothing" : ""}`;
}

const nodeWords = ({ node, state, cpus, cpus_used: busy, jobs }) =>
  `${node}: ${state}, ${busy ?? 0} of ${cpus ?? 0} CPU cores in use, ${many(jobs, "job")}`;
