// A hall and its values as they came over the wire: boxes with places in metres, numbers by rack. Pure: nothing here
// knows the page or three.js. The format is that of aifactory_lab/widgets/hallwire.py.

import { bytesOf } from "./wire.js";

export const UP = 0;
export const DEGRADED = 1;
export const DOWN = 2;
export const UNKNOWN = 3;
export const STATE_WORDS = ["up", "degraded", "down", "unknown"];
const CABLE = 0.08; // metres: hoses and bundles of cables, down to a rack
const BOX = 6; // x, y of the middle, size along x, along y, height, foot above the floor

/** Numbers of a buffer, copied, for those of a message need not be aligned. */
const numbers = (Kind, buffer) => new Kind(bytesOf(buffer).slice().buffer);

export class Hall {
  constructor(told) {
    this.extent = told.extent; // x, y of one corner, x, y of the other, height
    this.count = told.racks.names.length; // boxes from here on are coolers
    const both = (key) => [...told.racks[key], ...told.coolers[key]];
    this.names = both("names");
    this.boxes = Float32Array.of(...numbers(Float32Array, told.racks.boxes), ...numbers(Float32Array, told.coolers.boxes));
    this.fronts = Uint8Array.of(...numbers(Uint8Array, told.racks.fronts), ...numbers(Uint8Array, told.coolers.fronts));
    this.kinds = [...numbers(Uint8Array, told.racks.kinds)].map((kind) => told.racks.kindNames[kind])
      .concat([...numbers(Uint8Array, told.coolers.kinds)].map((kind) => told.coolers.kindNames[kind]));
    this.rowNames = told.racks.rowNames;
    this.rows = numbers(Uint16Array, told.racks.rows);
    this.ids = told.racks.ids;
    this.places = new Map(this.ids.map((id, place) => [id, place]));
    this.gpus = numbers(Uint16Array, told.racks.gpus);
    this.lines = told.lines.map((line) => ({ ...line, lengths: numbers(Uint32Array, line.lengths), points: numbers(Float32Array, line.points) }));
    this.tops = this.#tops(); // how high boxes and lines reach
  }

  /** {x, y, w, d, h, z} of a box. */
  box(place) {
    const [x, y, w, d, h, z] = this.boxes.subarray(place * BOX, place * BOX + BOX);
    return { x, y, w, d, h, z };
  }

  #tops() {
    let boxes = 1;
    for (let place = 0; place < this.names.length; place++) boxes = Math.max(boxes, this.boxes[place * BOX + 4] + this.boxes[place * BOX + 5]);
    let lines = boxes;
    for (const { points } of this.lines) for (let i = 2; i < points.length; i += 3) lines = Math.max(lines, points[i]);
    return { boxes, lines };
  }

  isRack(place) {
    return place >= 0 && place < this.count;
  }

  /** Whether a box has figures of its own; a rack of switches or a cooler has none. */
  isCompute(place) {
    return this.isRack(place) && this.kinds[place] === "gpu";
  }

  rowOf(place) {
    return this.isRack(place) ? this.rowNames[this.rows[place]] : "";
  }

  /**
   * Pieces of the lines of a system, each of six numbers, from x, y, z to x, y, z, and its width: those that run
   * overhead, or those that come down to racks.
   */
  pieces(system, drop = false) {
    const found = [];
    for (const line of this.lines.filter((one) => one.system === system && one.drop === drop)) {
      let at = 0;
      for (const length of line.lengths) {
        for (let i = at; i < at + length - 1; i++) found.push([...line.points.subarray(3 * i, 3 * i + 6), drop ? Math.min(CABLE, line.width) : line.width]);
        at += length;
      }
    }
    return found;
  }

  get systems() {
    return [...new Set(this.lines.map((line) => line.system))];
  }

  /** The smallest rectangle around some racks: [x, y, x, y]. */
  around(places) {
    const found = [Infinity, Infinity, -Infinity, -Infinity];
    for (const place of places) {
      const { x, y, w, d } = this.box(place);
      found[0] = Math.min(found[0], x - w / 2);
      found[1] = Math.min(found[1], y - d / 2);
      found[2] = Math.max(found[2], x + w / 2);
      found[3] = Math.max(found[3], y + d / 2);
    }
    return found;
  }

  /** The racks of the row of one rack. */
  rowOfRack(place) {
    const row = this.rows[place];
    return [...this.rows.keys()].filter((other) => this.rows[other] === row);
  }

  /** The first box that a ray meets, -1 if it meets none. */
  hit(from, way) {
    let best = Infinity;
    let found = -1;
    for (let place = 0; place < this.names.length; place++) {
      const at = place * BOX;
      let near = 0;
      let far = best;
      for (let axis = 0; axis < 3 && near <= far; axis++) {
        const low = axis < 2 ? this.boxes[at + axis] - this.boxes[at + 2 + axis] / 2 : this.boxes[at + 5];
        const high = low + this.boxes[at + 2 + axis];
        const a = (low - from[axis]) / way[axis];
        const b = (high - from[axis]) / way[axis];
        near = Math.max(near, Math.min(a, b));
        far = Math.min(far, Math.max(a, b));
      }
      if (near <= far && near < best) [best, found] = [near, place];
    }
    return found;
  }

  /** The box that covers a point of the floor, -1 if none does. */
  under(x, y) {
    for (let place = 0; place < this.names.length; place++) {
      const at = place * BOX;
      if (Math.abs(this.boxes[at] - x) <= this.boxes[at + 2] / 2 && Math.abs(this.boxes[at + 1] - y) <= this.boxes[at + 3] / 2) return place;
    }
    return -1;
  }

  /** The next rack from one in a direction: near along it, and not far beside it. */
  neighbour(place, dx, dy) {
    const from = this.box(place);
    let best = Infinity;
    let found = place;
    for (let other = 0; other < this.count; other++) {
      const ahead = (this.boxes[other * BOX] - from.x) * dx + (this.boxes[other * BOX + 1] - from.y) * dy;
      if (ahead < 0.1) continue;
      const beside = Math.abs((this.boxes[other * BOX] - from.x) * dy) + Math.abs((this.boxes[other * BOX + 1] - from.y) * dx);
      if (ahead + 3 * beside < best) [best, found] = [ahead + 3 * beside, other];
    }
    return found;
  }
}

export class Values {
  /** What is known of the racks of a hall; `told` may be empty. */
  constructor(told, count) {
    this.count = count;
    this.measures = (told.measures ?? []).map((measure) => ({ ...measure, numbers: numbers(Float32Array, measure.numbers) }));
    this.states = told.states ? numbers(Uint8Array, told.states) : new Uint8Array(count).fill(UNKNOWN);
    this.notes = told.notes ?? {};
    this.gpusUp = told.gpusUp ? numbers(Float32Array, told.gpusUp) : null;
  }

  measure(name) {
    return this.measures.find((one) => one.name === name) ?? null;
  }

  /** A number, NaN where it is not known. */
  value(name, place) {
    return this.measure(name)?.numbers[place] ?? NaN;
  }

  /** Where on the scale a rack stands, NaN where it is not known. */
  share(name, place) {
    const measure = this.measure(name);
    return measure ? (measure.numbers[place] - measure.low) / (measure.high - measure.low) : NaN;
  }

  /** How many racks are in which state. */
  counts(hall) {
    const found = [0, 0, 0, 0];
    for (let place = 0; place < hall.count; place++) if (hall.isCompute(place)) found[this.states[place]] += 1;
    return found;
  }

  /** Sum, mean, least and most of what is known, and of how many. */
  sums(name) {
    const found = { known: 0, sum: 0, min: Infinity, max: -Infinity };
    for (const value of this.measure(name)?.numbers ?? []) {
      if (Number.isNaN(value)) continue;
      found.known += 1;
      found.sum += value;
      found.min = Math.min(found.min, value);
      found.max = Math.max(found.max, value);
    }
    return { ...found, mean: found.known ? found.sum / found.known : NaN };
  }
}

// What a box is drawn as.
export const LOOK = { VALUE: 0, DEGRADED: 1, DOWN: 2, UNKNOWN: 3, SWITCHES: 4, CDU: 5, FANS: 6, OTHER: 7 };
const EQUIPMENT = { network: LOOK.SWITCHES, cdu: LOOK.CDU, fan: LOOK.FANS };

/** How a box is drawn: by its state, as unknown where its number is, or as the equipment that it is. */
export function lookOf(hall, values, name, place) {
  if (!hall.isCompute(place)) return EQUIPMENT[hall.kinds[place]] ?? LOOK.OTHER;
  const state = values.states[place];
  if (state === DOWN) return LOOK.DOWN;
  if (state === UNKNOWN || Number.isNaN(values.value(name, place))) return LOOK.UNKNOWN;
  return state === DEGRADED ? LOOK.DEGRADED : LOOK.VALUE;
}
