// One feed as it came over the wire: its layout, and a bounded ring of samples whose bytes are decoded when drawn.
// The format is that of aifactory_lab/telemetry/packets.py. Nothing here knows the page.

export const VALUE = 0;
export const UNSUPPORTED = 1;
export const LOST = 2;
export const STALE = 3;
export const STATE_WORDS = ["value", "not supported", "lost", "stale"];
const LEAST_STATE = 252;
const MOST_SAMPLES = 3600;
const MOST_BYTES = 48 << 20;

/** Bytes of a buffer, whether it came as a DataView, a typed array or an ArrayBuffer. */
export function bytesOf(buffer) {
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** The next of 1, 2, 5, 10, 20, … that is at least `value`. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * size).find((top) => top >= value * (1 - 1e-12));
}

export class Feed {
  constructor(message) {
    this.index = message.feed ?? 0;
    this.samples = [];
    this.facts = new Map();
    this.notes = [];
    this.error = "";
    this.cost = null;
    this.received = 0; // bytes of cells
    this.ticks = 0;
    this.describe(message);
  }

  /** Take a layout; samples of another layout no longer fit and are dropped. */
  describe(message) {
    this.role = message.role ?? "gpu";
    this.key = message.key ?? "";
    this.period = message.period ?? 1;
    this.origin = message.origin;
    this.label = message.label;
    this.codec = message.codec;
    this.levels = message.levels;
    this.metrics = message.metrics;
    this.entities = message.entities.map(([id, kind, name, uid]) => ({ id, kind, name, uid, path: id.split("/") }));
    this.columns = new Map(this.metrics.map((metric, column) => [metric.name, column]));
    this.rows = new Map(this.entities.map((entity, row) => [entity.id, row]));
    this.whole = this.#whole();
    this.tops = message.tops;
    this.seen = new Array(this.metrics.length).fill(0);
    this.samples = [];
    this.version = (this.version ?? 0) + 1;
  }

  /** Rows that count in sums: an instance of a GPU that is here too would count twice. */
  #whole() {
    const inside = ({ kind, path }) => kind === "mig" && this.rows.has(path.slice(0, -1).join("/"));
    return [...this.entities.keys()].filter((row) => !inside(this.entities[row]));
  }

  get cells() {
    return this.entities.length * this.metrics.length;
  }

  get bytesPerSample() {
    return this.codec === "f32" ? this.cells * 5 : this.cells;
  }

  get latest() {
    return this.samples[this.samples.length - 1] ?? null;
  }

  tick(message, buffers) {
    if (message.tops) this.tops = message.tops;
    this.notes = message.notes ?? [];
    this.error = message.error ?? "";
    if (message.cost) this.cost = message.cost;
    this.ticks += 1;
    this.received += this.bytesPerSample;
    this.#push(message.t, bytesOf(buffers[0]));
  }

  history(message, buffers) {
    if (message.tops) this.tops = message.tops;
    if (!message.append) this.samples = [];
    const raw = bytesOf(buffers[0]);
    const times = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const cells = bytesOf(buffers[1]);
    const size = this.bytesPerSample;
    for (let i = 0; i < message.count; i++) {
      this.#push(times.getFloat64(i * 8, true), cells.subarray(i * size, (i + 1) * size));
    }
  }

  #push(t, bytes) {
    if (bytes.length !== this.bytesPerSample) return; // of an older layout
    if (this.latest && t <= this.latest.t) return; // came with the history already
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const sample = { t, bytes, view, tops: this.tops, sums: new Map() };
    this.samples.push(sample);
    if (this.codec === "f32") this.#see(sample);
    const most = Math.min(MOST_SAMPLES, Math.max(60, Math.floor(MOST_BYTES / Math.max(1, this.bytesPerSample))));
    if (this.samples.length > most * 1.1) this.samples.splice(0, this.samples.length - most);
  }

  /** Remember the largest values, so that a metric without a full scale gets one. */
  #see(sample) {
    for (let column = 0; column < this.metrics.length; column++) {
      for (let row = 0; row < this.entities.length; row++) {
        const value = this.value(sample, row, column);
        if (value > this.seen[column]) this.seen[column] = value;
      }
    }
  }

  state(sample, row, column) {
    const cell = row * this.metrics.length + column;
    if (this.codec === "f32") return sample.bytes[this.cells * 4 + cell];
    const byte = sample.bytes[cell];
    return byte >= LEAST_STATE ? byte - LEAST_STATE : VALUE;
  }

  /** A value, or NaN where there is none. */
  value(sample, row, column) {
    const cell = row * this.metrics.length + column;
    if (this.codec === "f32") {
      return sample.bytes[this.cells * 4 + cell] === VALUE ? sample.view.getFloat32(cell * 4, true) : NaN;
    }
    const byte = sample.bytes[cell];
    return byte >= LEAST_STATE ? NaN : (byte / this.levels) * sample.tops[column];
  }

  /** Value by names, NaN where this feed has no such metric. */
  get(sample, row, name) {
    const column = this.columns.get(name);
    return sample === null || column === undefined ? NaN : this.value(sample, row, column);
  }

  /** Mean, least, most and sum of one metric over some rows (all whole ones by default), and how many are in which state. */
  sums(sample, column, rows = null) {
    if (rows === null && sample.sums.has(column)) return sample.sums.get(column);
    const found = { count: 0, sum: 0, min: Infinity, max: -Infinity, most: -1, states: [0, 0, 0, 0] };
    for (const row of rows ?? this.whole) {
      const value = this.value(sample, row, column);
      if (Number.isNaN(value)) {
        found.states[this.state(sample, row, column)] += 1;
        continue;
      }
      found.states[VALUE] += 1;
      found.count += 1;
      found.sum += value;
      if (value < found.min) found.min = value;
      if (value > found.max) (found.max = value), (found.most = row);
    }
    found.mean = found.count ? found.sum / found.count : NaN;
    if (rows === null) sample.sums.set(column, found);
    return found;
  }

  /** Full scale of a metric: a number, the metric that holds it, or what was seen, rounded up. */
  scale(sample, column) {
    const top = this.metrics[column].top;
    if (typeof top === "number") return top;
    const holder = typeof top === "string" ? this.columns.get(top) : undefined;
    if (holder !== undefined && sample) {
      const { max } = this.sums(sample, holder);
      if (max > 0) return max;
    }
    if (this.codec === "u8") return (sample ? sample.tops : this.tops)[column];
    return roundUp(this.seen[column]);
  }

  /** The place of the newest sample not after `t`, -1 if there is none. */
  before(t) {
    let low = 0;
    let high = this.samples.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.samples[middle].t <= t) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
