// The hall on the page: its head, its picture, its legend and the opened rack; painted at most once a frame, and never
// unseen. Everything that a person does here is the page's own business; only the picked rack and the measure are told.

import { h, newId, rebuild, setText, show } from "./dom.js";
import { HallLegend, totalWords } from "./halllegend.js";
import { DEGRADED, DOWN, Hall, Values } from "./hallmodel.js";
import { HallPanel, spoken } from "./hallpanel.js";
import { HallPointer } from "./hallpointer.js";
import { Stages } from "./hallstages.js";
import { segments } from "./picker.js";
import { follow, inks } from "./theme.js";
import { count, many } from "./words.js";

const SEEN = ["by", "selected", "incidents", "moment", "title", "height"];
const SIGHTS = [
  { value: "hall", text: "Hall", title: "the whole hall (h)" },
  { value: "row", text: "Row", title: "the row of the picked rack, else the first (r)" },
  { value: "top", text: "Top", title: "from above (t)" },
  { value: "plan", text: "Plan", title: "a flat plan, also without WebGL (p)" },
];
const SPEAK_MS = 15_000;
const MOST_LINES = 4; // of incidents: the hall must stay in sight

export class HallView {
  constructor(model) {
    this.model = model;
    this.place = -1;
    this.hovered = -1;
    this.root = h("div", { class: "af-board af-hall" });
    this.#head();
    this.legend = new HallLegend((system, visible) => this.#toggle(system, visible));
    this.panel = new HallPanel(() => this.pick(-1));
    this.option = h("span", { class: "af-hidden", role: "option", id: newId("rack"), "aria-selected": "false" });
    this.port = h("div", { class: "af-hall-port", role: "listbox", tabindex: "0", "aria-label": "racks of the hall", "aria-activedescendant": this.option.id }, this.option);
    this.stages = new Stages(this.port, () => this.schedule());
    this.pointer = new HallPointer(this);
    this.live = h("div", { class: "af-hidden", "aria-live": "polite" });
    this.split = h("div", { class: "af-split" }, h("div", { class: "af-main" }, this.port, this.legend.element), this.panel.element);
    this.inside = h("div", { class: "af-inside" }, this.head, this.banners, this.split, this.live);
    this.root.append(this.inside);
    this.due = 0;
    this.seen = true;
  }

  #head() {
    this.title = h("h2", {});
    this.badges = h("span", { class: "af-badges" });
    this.measures = h("span", {});
    this.sights = segments("view", SIGHTS, "hall", (value) => this.look(value));
    this.head = h("header", { class: "af-head" }, h("div", { class: "af-title" }, this.title, this.badges),
      h("div", { class: "af-controls" }, this.measures, this.sights.element));
    this.banners = h("div", { class: "af-banners", role: "status" });
  }

  /** Begin to live in the page. Returns what ends that. */
  mount(host) {
    host.append(this.root);
    const { model } = this;
    const ends = [this.#watch(new ResizeObserver(() => this.schedule())), this.#watch(new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      this.schedule();
    }))];
    const heard = {
      "change:told_hall": () => this.#stale("hall"), "change:told_values": () => this.#stale("values"),
      "comm_live_update": () => this.#alone(), destroy: () => this.#alone(),
    };
    for (const name of SEEN) heard[`change:${name}`] = () => this.#stale("words");
    for (const [name, act] of Object.entries(heard)) model.on(name, act);
    const back = () => this.schedule();
    document.addEventListener("visibilitychange", back);
    this.#stale("hall");
    return () => {
      for (const end of ends) end();
      for (const [name, act] of Object.entries(heard)) model.off(name, act);
      document.removeEventListener("visibilitychange", back);
      cancelAnimationFrame(this.due);
      this.unfollow?.();
      this.stages.dispose();
      this.root.remove();
      this.ended = true;
    };
  }

  #watch(observer) {
    observer.observe(this.root);
    return () => observer.disconnect();
  }

  #stale(what) {
    this.dirty = { ...this.dirty, [what]: true };
    this.schedule();
  }

  #alone() {
    this.kernelGone = true;
    this.#stale("words");
  }

  schedule() {
    if (this.due || this.ended || document.hidden || !this.seen) return;
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      this.#paint();
    });
  }

  #paint() {
    if (!this.root.isConnected) return;
    this.unfollow ??= follow(this.root, () => this.#retheme());
    if (!this.inks?.ink) return this.#retheme(); // the style sheet is still to come
    const dirty = this.dirty ?? {};
    this.dirty = {};
    if (dirty.hall) this.hall = new Hall(this.model.get("told_hall"));
    if (dirty.hall || dirty.values) this.values = new Values(this.model.get("told_values"), this.hall.count);
    this.by = this.model.get("by");
    this.place = this.hall.places.get(this.model.get("selected")) ?? -1;
    if (this.hovered >= this.hall.names.length) this.hovered = -1;
    this.#words();
    const { clientWidth: width } = this.port;
    if (width) this.stages.paint(this, width, this.#height(width));
    this.pointer.update();
    this.root.dataset.painted = String(Number(this.root.dataset.painted ?? 0) + 1);
  }

  #height(width) {
    const height = Math.round(Math.min(this.model.get("height"), Math.max(260, width * 0.8)));
    this.port.style.height = `${height}px`;
    return height;
  }

  #words() {
    const { hall, values, by } = this;
    setText(this.title, this.model.get("title"));
    const moment = this.model.get("moment");
    rebuild(this.badges, moment, () => (moment ? [h("span", { class: "af-badge af-recorded" }, moment)] : []));
    rebuild(this.measures, values.measures.map(({ label }) => label).join(), () => {
      const choices = values.measures.map(({ name, label }) => ({ value: name, text: label[0].toUpperCase() + label.slice(1), title: `colour racks by ${label}` }));
      this.picker = segments("measure", choices, by, (value) => this.tell("by", value));
      return [this.picker.element];
    });
    this.picker?.update(by);
    this.sights.update(this.stages.sight);
    this.legend.update(hall, values, by, this.stages.hidden);
    this.panel.update(hall, values, this.place);
    this.split.classList.toggle("af-opened", this.place >= 0);
    this.#banner();
    setText(this.option, this.place >= 0 ? spoken(hall, values, by, this.place) : this.hovered >= 0 ? spoken(hall, values, by, this.hovered) : "no rack picked; arrow keys move, Enter picks");
    this.option.setAttribute("aria-selected", String(this.place >= 0));
    if (performance.now() - (this.spoken ?? -SPEAK_MS) > SPEAK_MS) this.#speak();
  }

  #speak() {
    this.spoken = performance.now();
    const counts = this.values.counts(this.hall);
    const measure = this.values.measure(this.by);
    setText(this.live, [measure ? totalWords(this.values, measure) : "", counts[DOWN] ? `${count(counts[DOWN])} down` : "", counts[DEGRADED] ? `${count(counts[DEGRADED])} degraded` : ""].filter(Boolean).join("; "));
  }

  #banner() {
    const incidents = this.model.get("incidents");
    const found = incidents.slice(0, MOST_LINES).map((text) => ["warn", text]);
    if (incidents.length > MOST_LINES) found.push(["warn", `and ${many(incidents.length - MOST_LINES, "more incident")}`]);
    if (this.stages.reason) found.push(["plain", this.stages.reason]);
    if (this.kernelGone) found.push(["bad", "The kernel of this hall is gone: this is the last picture."]);
    rebuild(this.banners, JSON.stringify(found), () => found.map(([kind, text]) =>
      h("div", { class: `af-banner af-${kind}` }, h("span", { title: text }, kind === "warn" ? h("b", { "aria-hidden": "true" }, "⚠ ") : null, text))));
  }

  /** Open a rack, or none at -1. A cooler has no figures. */
  pick(place) {
    this.tell("selected", this.hall.isRack(place) ? this.hall.ids[place] : null);
  }

  hover(place) {
    if (place === this.hovered) return;
    this.hovered = place;
    this.schedule();
  }

  /** Change a trait, here at once and in the kernel when it listens. */
  tell(name, value) {
    this.model.set(name, value);
    try {
      this.model.save_changes();
    } catch {
      this.#alone();
    }
    this.schedule();
  }

  look(sight) {
    this.stages.look(sight, this.place >= 0 ? this.place : this.hovered);
    this.schedule();
  }

  #toggle(system, visible) {
    this.stages.toggle(system, visible);
    this.schedule();
  }

  #retheme() {
    this.inks = inks(this.root);
    this.themed = (this.themed ?? 0) + 1;
    this.schedule();
  }
}
