// Messages as the packer makes them, for the tests: f32 cells then states, or a byte a cell.

export const METRICS = [
  { name: "busy", label: "busy", unit: "%", kind: "gauge", top: 100 },
  { name: "memory_used", label: "memory", unit: "B", kind: "gauge", top: "memory_total" },
  { name: "memory_total", label: "memory in all", unit: "B", kind: "gauge", top: null },
];

export function layout(entities, { codec = "f32", metrics = METRICS } = {}) {
  return {
    k: "layout", feed: 0, role: "gpu", key: "test", period: 1, codec, levels: 250, origin: "simulated", label: "",
    entities: entities.map((id) => (Array.isArray(id) ? id : [id, "gpu", "", ""])), metrics, tops: metrics.map(() => 100),
  };
}

/** One sample of rows of values; a string is a state. */
export function f32(rows) {
  const flat = rows.flat();
  const bytes = new Uint8Array(flat.length * 5);
  const view = new DataView(bytes.buffer);
  flat.forEach((cell, i) => {
    const state = ["value", "unsupported", "lost", "stale"].indexOf(cell);
    view.setFloat32(i * 4, state > 0 ? NaN : cell, true);
    bytes[flat.length * 4 + i] = Math.max(0, state);
  });
  return bytes;
}
