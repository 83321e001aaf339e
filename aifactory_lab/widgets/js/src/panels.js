// Which panels a board has, by the names that Python gives.

import { Absent } from "./absent.js";
import { Cost } from "./cost.js";
import { Detail } from "./detail.js";
import { h, show } from "./dom.js";
import { Fleet } from "./fleet.js";
import { Floor } from "./floor.js";
import { FleetTiles } from "./fleettiles.js";
import { Health } from "./health.js";
import { Jobs } from "./jobs.js";
import { FleetLines } from "./lines.js";
import { Services } from "./services.js";
import { Training } from "./training.js";

const HOST_LINES = ["busy", "memory_used", "disk_read", "network_rx"];

const PANELS = {
  gpus: (board) => new Devices(board, "gpu", "GPUs"),
  hosts: (board) => new Devices(board, "host", "Hosts"),
  throughput: (board) => new Services(board),
  floor: (board) => new Floor(board),
  cost: (board) => new Cost(board),
  health: (board) => new Health(board),
  jobs: (board) => new Jobs(board),
  training: (board) => new Training(board),
};

/** Make the panels of a board; unknown names are passed over, for Python checks them. */
export function panelsOf(board, names) {
  return names.filter((name) => PANELS[name]).map((name) => PANELS[name](board));
}

/** A fleet with everything about it: tiles, heat map, the opened one, lines. */
class Devices {
  constructor(board, role, title) {
    this.table = true;
    this.board = board;
    this.role = role;
    this.title = h("h3", { class: "af-section" }, title);
    this.fleet = new Fleet(board, role);
    this.detail = new Detail(board, role);
    this.parts = [
      new Absent(board, [role]), new FleetTiles(board, role), this.fleet, this.detail,
      new FleetLines(board, role, role === "host" ? HOST_LINES : undefined),
    ];
    const [absent, tiles, fleet, detail, lines] = this.parts.map((part) => part.element);
    this.split = h("div", { class: "af-split" }, h("div", { class: "af-main" }, fleet, lines), detail);
    this.element = h("section", { class: "af-panel" }, this.title, absent, tiles, this.split);
  }

  paint() {
    const [feed] = this.board.store.of(this.role);
    show(this.title, this.board.panels.length > 1 && this.title.textContent !== this.board.model.get("title"));
    show(this.element, Boolean(feed) || this.board.store.extras.absent.some(({ role }) => role === this.role));
    const { open } = this.board.view;
    this.split.classList.toggle("af-opened", Boolean(open && feed && open.feed === feed.index));
    for (const part of this.parts) part.paint();
  }

  summary() {
    return this.fleet.summary();
  }

  read() {
    for (const part of this.parts) part.read?.();
  }

  destroy() {
    for (const part of this.parts) part.destroy?.();
  }
}
