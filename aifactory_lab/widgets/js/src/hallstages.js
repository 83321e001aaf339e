// The two stages of a hall, in space and flat: which one is on, and what each still has to be told. Without WebGL, or
// after the browser took it back, the flat one is.

import { HallPlan } from "./hallplan.js";
import { HallScene } from "./hallscene.js";

const WITHOUT = "No WebGL here: this is the plan of the hall. Everything else is as in three dimensions.";
const TAKEN = "The browser took WebGL back, as it does when many pages use it: this is the plan of the hall.";

export class Stages {
  constructor(port, changed) {
    Object.assign(this, { port, changed, sight: "hall", hidden: new Set(), reason: "", told: new WeakMap(), made: {} });
  }

  get flat() {
    return this.sight === "plan" || Boolean(this.reason);
  }

  /** The stage that is on, made when it is first needed. */
  #stage() {
    if (!this.flat && !this.made.space) this.#open();
    if (this.flat) this.made.flat ??= new HallPlan(this.port, this.changed);
    const stage = this.flat ? this.made.flat : this.made.space;
    for (const one of Object.values(this.made)) if (one) one.canvas.hidden = one !== stage;
    return stage;
  }

  #open() {
    try {
      this.made.space = new HallScene(this.port, this.changed);
      this.made.space.canvas.addEventListener("webglcontextlost", (event) => {
        event.preventDefault();
        if (this.ended) return;
        this.reason = TAKEN;
        this.changed();
      });
      this.made.space.canvas.addEventListener("webglcontextrestored", () => {
        this.reason = "";
        this.changed();
      });
    } catch {
      this.reason = WITHOUT;
    }
  }

  /** Tell the stage what is new, and draw. */
  paint(view, width, height) {
    const stage = (this.now = this.#stage());
    const told = this.told.get(stage) ?? {};
    stage.resize(width, height);
    const fresh = told.hall !== view.hall;
    if (fresh) {
      stage.hidden = new Set(this.hidden);
      stage.show(view.hall);
      if (this.sight !== "hall") stage.preset(this.#preset(), view.place);
    }
    if (fresh || told.themed !== view.themed) stage.theme(view.inks, view.root.dataset.afTheme === "dark");
    if (fresh || told.values !== view.values || told.by !== view.by) stage.recolour(view.values, view.by);
    this.told.set(stage, { hall: view.hall, themed: view.themed, values: view.values, by: view.by });
    stage.mark(view.place, view.hovered);
    stage.render();
  }

  #preset() {
    return this.sight === "plan" ? "hall" : this.sight;
  }

  look(sight, about) {
    this.sight = sight;
    const stage = this.#stage();
    if (this.told.has(stage)) stage.preset(this.#preset(), about);
  }

  toggle(system, visible) {
    this.hidden[visible ? "delete" : "add"](system);
    for (const stage of Object.values(this.made)) stage?.toggle(system, visible);
  }

  dispose() {
    this.ended = true;
    for (const stage of Object.values(this.made)) stage?.dispose();
  }
}
