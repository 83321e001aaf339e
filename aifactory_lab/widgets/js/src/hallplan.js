// The hall from above on a plain canvas: what is drawn where there is no WebGL, and what the plan view is everywhere.

import { sharpen } from "./heatmap.js";
import { DEGRADED, DOWN, LOOK, lookOf } from "./hallmodel.js";
import { sign } from "./hallsign.js";
import { isTray, SYSTEMS } from "./hallsystems.js";
import { colour, LOST_COLOUR } from "./palette.js";

const ROOM = 14; // pixels around the hall
const WARN_COLOUR = "#e69f00";

export class HallPlan {
  constructor(host, changed) {
    this.canvas = document.createElement("canvas");
    this.changed = changed;
    this.hidden = new Set();
    host.append(this.canvas);
    this.canvas.addEventListener("pointerdown", (event) => this.#grab(event));
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the wheel scrolls the page
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, event.offsetX, event.offsetY);
    }, { passive: false });
  }

  show(hall) {
    this.hall = hall;
    this.pieces = new Map(hall.systems.map((system) => [system, hall.pieces(system).filter(([x0, y0, , x1, y1]) => x0 !== x1 || y0 !== y1)]));
    if (this.width) this.preset("hall", -1);
  }

  recolour(values, by) {
    Object.assign(this, { values, by });
  }

  theme(inks, dark) {
    Object.assign(this, { inks, dark });
  }

  toggle(system, visible) {
    this.hidden[visible ? "delete" : "add"](system);
  }

  resize(width, height) {
    if (this.width === width && this.height === height) return;
    Object.assign(this, { width, height });
    if (this.hall && !this.touched) this.preset(this.named ?? "hall", this.about ?? -1);
  }

  preset(named, about) {
    Object.assign(this, { named, about, touched: false });
    const { extent } = this.hall;
    const [x0, y0, x1, y1] = named === "row" ? this.hall.around(this.hall.rowOfRack(Math.max(0, about))) : extent;
    this.scale = Math.min((this.width - 2 * ROOM) / (x1 - x0), (this.height - 2 * ROOM) / (y1 - y0));
    this.x = this.width / 2 - (this.scale * (x0 + x1)) / 2;
    this.y = this.height / 2 + (this.scale * (y0 + y1)) / 2;
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    this.touched = true;
    this.scale /= factor;
    this.x = x - (x - this.x) / factor;
    this.y = y - (y - this.y) / factor;
    this.changed();
  }

  /** A plan does not turn: it moves. */
  turn(around, above) {
    this.touched = true;
    this.x += around * 200;
    this.y += above * 200;
    this.changed();
  }

  #grab({ offsetX, offsetY, pointerId, button }) {
    if (button !== 0) return;
    const [x, y] = [this.x - offsetX, this.y - offsetY];
    const move = (event) => {
      Object.assign(this, { x: x + event.offsetX, y: y + event.offsetY, touched: true });
      this.changed();
    };
    const end = () => {
      this.canvas.removeEventListener("pointermove", move);
      for (const name of ["pointerup", "pointercancel"]) this.canvas.removeEventListener(name, end);
    };
    this.canvas.setPointerCapture(pointerId);
    this.canvas.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, end);
  }

  mark(selected, hovered) {
    Object.assign(this, { selected, hovered });
  }

  at(x, y) {
    return this.hall.under((x - this.x) / this.scale, (this.y - y) / this.scale);
  }

  where(place) {
    const { x, y, d } = this.hall.box(place);
    return { x: this.x + x * this.scale, y: this.y - (y + d / 2) * this.scale };
  }

  render() {
    const pen = sharpen(this.canvas, this.width, this.height);
    pen.fillStyle = this.inks.ground;
    pen.fillRect(0, 0, this.width, this.height);
    this.#floor(pen);
    // what hangs over the racks is drawn under them: their colours are what a plan is read for
    for (const [system, pieces] of this.pieces) if (!this.hidden.has(system)) this.#lines(pen, system, pieces);
    for (let place = 0; place < this.hall.names.length; place++) this.#box(pen, place);
    this.#signs(pen);
    this.#outline(pen, this.hovered, 1.5);
    this.#outline(pen, this.selected, 3);
  }

  #rectangle({ x, y, w, d }) {
    return [this.x + (x - w / 2) * this.scale, this.y - (y + d / 2) * this.scale, w * this.scale, d * this.scale];
  }

  #floor(pen) {
    const [x0, y0, x1, y1] = this.hall.extent;
    const at = [this.x + x0 * this.scale, this.y - y1 * this.scale, (x1 - x0) * this.scale, (y1 - y0) * this.scale];
    pen.fillStyle = this.inks.card;
    pen.fillRect(...at);
    pen.strokeStyle = this.inks.line;
    pen.lineWidth = 1;
    pen.strokeRect(...at);
  }

  #box(pen, place) {
    const look = lookOf(this.hall, this.values, this.by, place);
    const [x, y, w, h] = this.#rectangle(this.hall.box(place));
    const gap = this.scale > 8 ? 0.5 : 0; // between neighbours
    const at = [x + gap, y + gap, w - 2 * gap, h - 2 * gap];
    pen.fillStyle = this.#fill(look, place);
    pen.fillRect(...at);
    if (look === LOOK.UNKNOWN) hatched(pen, at, this.inks.hatch);
    if (look === LOOK.DOWN) crossed(pen, at);
    if (look === LOOK.DEGRADED) framed(pen, at, WARN_COLOUR);
  }

  #fill(look, place) {
    if (look === LOOK.VALUE || look === LOOK.DEGRADED) return colour(this.values.share(this.by, place));
    const [metal, cdu] = this.dark ? ["#5b646f", "#3f7ea6"] : ["#c9d0d8", "#7db8dc"];
    return { [LOOK.UNKNOWN]: this.inks.hatchGround, [LOOK.DOWN]: this.inks.ground, [LOOK.CDU]: cdu }[look] ?? metal;
  }

  #lines(pen, system, pieces) {
    pen.strokeStyle = SYSTEMS[system]?.[this.dark ? "dark" : "light"] ?? this.inks.faint;
    pen.globalAlpha = isTray(system) ? 0.35 : 0.8;
    pen.lineWidth = Math.max(1, Math.min(3, 0.12 * this.scale));
    pen.beginPath();
    for (const [x0, y0, , x1, y1] of pieces) {
      pen.moveTo(this.x + x0 * this.scale, this.y - y0 * this.scale);
      pen.lineTo(this.x + x1 * this.scale, this.y - y1 * this.scale);
    }
    pen.stroke();
    pen.globalAlpha = 1;
  }

  #signs(pen) {
    const reach = Math.max(3.5, Math.min(8, 0.28 * this.scale));
    for (let place = 0; place < this.hall.count; place++) {
      const state = this.values.states[place];
      if (!this.hall.isCompute(place) || (state !== DEGRADED && state !== DOWN)) continue;
      const { x, y } = this.hall.box(place);
      sign(pen, state, state === DOWN ? LOST_COLOUR : WARN_COLOUR, this.x + x * this.scale, this.y - y * this.scale, reach);
    }
  }

  #outline(pen, place, width) {
    if (!(place >= 0)) return;
    const [x, y, w, h] = this.#rectangle(this.hall.box(place));
    for (const [ink, wide] of [[this.inks.ground, width + 3], [this.inks.ink, width]]) {
      pen.strokeStyle = ink;
      pen.lineWidth = wide;
      pen.strokeRect(x - 1, y - 1, w + 2, h + 2);
    }
  }

  dispose() {
    this.canvas.remove();
  }
}

function clipped(pen, [x, y, w, h], draw) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, w, h);
  pen.clip();
  pen.beginPath();
  draw();
  pen.stroke();
  pen.restore();
}

function hatched(pen, at, ink) {
  const [x, y, w, h] = at;
  if (w < 4) return;
  pen.strokeStyle = ink;
  pen.lineWidth = 1.4;
  clipped(pen, at, () => {
    for (let far = 0; far < w + h; far += 5) pen.moveTo(x + far, y), pen.lineTo(x + far - h, y + h);
  });
}

function crossed(pen, at) {
  const [x, y, w, h] = at;
  pen.strokeStyle = LOST_COLOUR;
  pen.lineWidth = w > 8 ? 2 : 1;
  clipped(pen, at, () => {
    pen.rect(x, y, w, h);
    pen.moveTo(x, y), pen.lineTo(x + w, y + h);
    pen.moveTo(x + w, y), pen.lineTo(x, y + h);
  });
}

function framed(pen, at, ink) {
  pen.strokeStyle = ink;
  pen.lineWidth = at[2] > 8 ? 5 : 2;
  clipped(pen, at, () => pen.rect(...at));
}
