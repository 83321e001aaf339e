// Alerts: what stands, what has passed, since when, and of whom.

import { h, rebuild, show } from "./dom.js";
import { clock, many, span } from "./words.js";

const MOST = 40;

export class Health {
  constructor(board) {
    this.board = board;
    this.title = h("h3", { class: "af-section" }, "Health");
    this.list = h("ul", { class: "af-alerts", tabindex: "0", "aria-label": "alerts" });
    this.element = h("section", { class: "af-panel", "aria-label": "health" }, this.title, this.list);
  }

  paint() {
    const { store, panels } = this.board;
    show(this.title, panels.length > 1);
    const alerts = store.extras.alerts.slice(0, MOST);
    rebuild(this.list, store.answered + JSON.stringify(alerts), () => (alerts.length ? alerts.map(item) : [h("li", { class: "af-quiet" }, store.answered ? "Nothing to report: no alert since this board began." : "")]));
  }

  summary() {
    const standing = this.board.store.extras.alerts.filter(({ cleared }) => cleared === null);
    return standing.length ? `${many(standing.length, "alert")}: ${standing[0].text}` : "";
  }
}

function item({ severity, entity, text, since, cleared }) {
  const stands = cleared === null || cleared === undefined;
  const when = stands ? `since ${clock(since)}` : `${clock(since)}, cleared after ${span(cleared - since)}`;
  const words = text.startsWith(entity) ? text.slice(entity.length).trim() : text;
  return h("li", { class: `af-severity af-${severity} ${stands ? "af-standing" : "af-cleared"}` },
    h("span", { class: "af-tag" }, stands ? severity : "cleared"),
    h("span", { class: "af-alert-text", title: entity }, h("b", {}, entity.split("/").slice(-2).join(" › ")), ` ${words}`),
    h("span", { class: "af-muted af-when" }, when));
}
