// What pointer and keys do on the picture of a hall: read, pick, move from rack to rack, turn, zoom.

import { h, show } from "./dom.js";
import { tipLines } from "./hallpanel.js";

const STILL = 5; // pixels that a click may move
const STEP = 0.12; // radians of one key
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const SIGHTS = { h: "hall", r: "row", t: "top", p: "plan" };

export class HallPointer {
  constructor(view) {
    this.view = view;
    this.tip = h("div", { class: "af-tip", hidden: true });
    this.buttons = h("div", { class: "af-hall-zoom" },
      this.#button("+", "closer (+); also Ctrl and wheel", () => this.#zoom(1 / 1.25)),
      this.#button("−", "further away (−)", () => this.#zoom(1.25)),
      this.#button("⟲", "back to where the view began (0)", () => view.look(view.stages.sight)));
    const { port } = view;
    port.append(this.tip, this.buttons);
    port.addEventListener("pointermove", (event) => this.#move(event));
    port.addEventListener("pointerleave", () => this.#leave());
    port.addEventListener("pointerdown", (event) => (this.down = [event.clientX, event.clientY]));
    port.addEventListener("click", (event) => this.#click(event));
    port.addEventListener("keydown", (event) => this.#key(event));
    port.addEventListener("blur", () => (this.byKey = false));
  }

  #button(text, title, onclick) {
    return h("button", { type: "button", class: "af-button", title, "aria-label": title, onclick }, text);
  }

  #zoom(factor) {
    this.view.stages.now?.zoom(factor);
    this.view.schedule();
  }

  #at({ clientX, clientY, target }) {
    const stage = this.view.stages.now;
    if (!stage || target !== stage.canvas) return -1;
    const box = stage.canvas.getBoundingClientRect();
    return stage.at(clientX - box.left, clientY - box.top);
  }

  #move(event) {
    if (event.buttons) return show(this.tip, false);
    this.byKey = false;
    const place = this.#at(event);
    this.view.port.style.cursor = this.view.hall?.isRack(place) ? "pointer" : "grab";
    const box = this.view.port.getBoundingClientRect();
    this.point = { x: event.clientX - box.left, y: event.clientY - box.top };
    if (place !== this.view.hovered) this.view.hover(place);
    else this.#put();
  }

  #leave() {
    if (!this.byKey) this.view.hover(-1);
  }

  #click(event) {
    const [x, y] = this.down ?? [event.clientX, event.clientY];
    if (event.target !== this.view.stages.now?.canvas || Math.hypot(event.clientX - x, event.clientY - y) > STILL) return;
    this.view.port.focus({ preventScroll: true });
    this.view.pick(this.#at(event));
  }

  #key(event) {
    if (event.target !== this.view.port || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!this.#act(event)) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has keys of its own
    this.view.schedule();
  }

  #act({ key, shiftKey }) {
    const { view } = this;
    const { hall, stages } = view;
    if (MOVES[key] && shiftKey) stages.now?.turn(-STEP * MOVES[key][0], STEP * MOVES[key][1]);
    else if (MOVES[key]) this.#go(hall.neighbour(this.#here(), ...MOVES[key]));
    else if (key === "Home") this.#go(0);
    else if (key === "End") this.#go(hall.count - 1);
    else if (key === "Enter" || key === " ") view.pick(this.#here());
    else if (key === "Escape") view.pick(-1), view.hover(-1);
    else if (key === "+" || key === "=") this.#zoom(1 / 1.25);
    else if (key === "-") this.#zoom(1.25);
    else if (key === "0") view.look(stages.sight);
    else if (SIGHTS[key]) view.look(SIGHTS[key]);
    else return false;
    return true;
  }

  /** The rack that keys are at: the one they moved to, else the picked one, else the first. */
  #here() {
    const { view } = this;
    return this.byKey && view.hall.isRack(view.hovered) ? view.hovered : Math.max(0, view.place);
  }

  #go(place) {
    const first = !this.byKey && this.view.place < 0;
    this.byKey = true;
    this.view.hover(first ? Math.max(0, this.view.place) : place);
    if (this.view.place >= 0) this.view.pick(place); // an opened rack follows
  }

  /** After a picture: what stands beside the pointer, or above the rack that keys are at. */
  update() {
    const { hall, values, hovered, stages } = this.view;
    show(this.tip, hovered >= 0);
    if (hovered < 0) return;
    this.tip.replaceChildren(...tipLines(hall, values, hovered));
    if (this.byKey) this.point = stages.now.where(hovered);
    this.#put();
  }

  #put() {
    if (!this.point || this.tip.hidden) return;
    const { clientWidth: wide, clientHeight: tall } = this.view.port;
    const { offsetWidth: w, offsetHeight: high } = this.tip;
    const x = this.point.x + 16 + w > wide ? this.point.x - 16 - w : this.point.x + 16;
    const y = Math.min(this.point.y + 12, tall - high - 4);
    this.tip.style.transform = `translate(${Math.max(2, Math.min(x, wide - w - 2))}px, ${Math.max(2, y)}px)`;
  }
}
