// Numbers and moments as people say them: the same words as Metric.text in aifactory_lab/telemetry/metrics.py.

const PREFIXED = new Set(["B", "B/s", "J", "W", "Wh", "/s", "rows/s", "tokens/s"]);
const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
const THIN = "\u202f"; // narrow no-break space between a number and its unit

/** At most three digits that matter. */
export function three(value) {
  return String(Number(value.toPrecision(3)));
}

/** A number and its unit apart, so that a tile can set them in two sizes. */
export function parts(value, unit) {
  if (!Number.isFinite(value)) return ["–", ""];
  if (PREFIXED.has(unit)) {
    const rounded = Number(value.toPrecision(3));
    const [size, prefix] = PREFIXES.find(([least]) => Math.abs(rounded) >= least) ?? [1, ""];
    return [three(value / size), prefix && unit.length > 3 ? `${prefix} ${unit}` : prefix + unit];
  }
  if (unit === "s" && Math.abs(value) < 1) return [three(value * 1e3), "ms"];
  if (Math.abs(value) < 1000) return [three(value), unit];
  return [Math.round(value).toLocaleString("en-US"), unit];
}

export function say(value, unit) {
  const [number, word] = parts(value, unit);
  return word ? number + THIN + word : number;
}

/** The same on an axis, where "12 k tokens/s" would take the room of the lines: the unit stands in the title. */
export function tickWords(value, unit) {
  if (value === 0 && unit !== "%") return "0";
  const [number, word] = parts(value, unit);
  return unit.length > 3 && unit.includes("/") ? number + THIN + word.replace(unit, "").trim() : say(value, unit);
}

export function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

/** A count in little room: "950", "25 k", "1.07 M". */
export function amount(value) {
  const [number, prefix] = parts(value, "B");
  const short = prefix.replace("B", "");
  return short ? number + THIN + short : number;
}

/** "1 GPU", "8 GPUs". */
export function many(number, one, more = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : more}`;
}

export const pad = (number) => String(number).padStart(2, "0");

/** Seconds since the epoch as a clock says them. */
export function clock(seconds, withSeconds = true) {
  const date = new Date(seconds * 1e3);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}${withSeconds ? `:${pad(date.getSeconds())}` : ""}`;
}

/** "8 s", "3 min", "2 h 5 min". */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 100) return `${whole} s`;
  if (whole < 3600) return `${Math.round(whole / 60)} min`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

const NOUNS = {
  gpu: ["GPU", "GPUs"], mig: ["MIG instance", "MIG instances"], host: ["host", "hosts"],
  worker: ["worker", "workers"], service: ["endpoint", "endpoints"], station: ["station", "stations"],
  training: ["training", "trainings"], fleet: ["fleet", "fleets"], project: ["project", "projects"],
};

/** "8 GPUs and 2 MIG instances". */
export function kinds(entities) {
  const counts = new Map();
  for (const { kind } of entities) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, number]) => many(number, ...(NOUNS[kind] ?? [kind]))).join(" and ") || "nothing";
}
