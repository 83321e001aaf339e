// Lines out of samples: one entity's, or mean, least and most of many; holes stay holes. Pure.

/** Samples of a feed between two moments, with one more on each side so that lines reach the edges. */
export function window(feed, from, to) {
  const first = Math.max(0, feed.before(from));
  const last = Math.min(feed.samples.length, feed.before(to) + 2);
  return feed.samples.slice(first, last);
}

const hole = (value) => (Number.isFinite(value) ? value : null);

export function line(feed, samples, row, column) {
  return samples.map((sample) => hole(feed.value(sample, row, column)));
}

/** [mean, least, most] of all entities, or of some rows. */
export function envelope(feed, samples, column, rows = null) {
  const found = [[], [], []];
  for (const sample of samples) {
    const { mean, min, max } = feed.sums(sample, column, rows);
    [mean, min, max].forEach((value, i) => found[i].push(hole(value)));
  }
  return found;
}

/** The sum of a metric over all entities that have it; a hole where none has. */
export function total(feed, samples, column) {
  return samples.map((sample) => {
    const { sum, count } = feed.sums(sample, column);
    return count ? sum : null;
  });
}

export const times = (samples) => samples.map((sample) => sample.t);

/** Insert a hole where samples are missing for longer than three periods, so that no line bridges a silence. */
export function broken(time, lines, period) {
  const gaps = [];
  for (let i = 1; i < time.length; i++) if (time[i] - time[i - 1] > 3.5 * period) gaps.push(i);
  if (!gaps.length) return [time, ...lines];
  const out = [[], ...lines.map(() => [])];
  let next = 0;
  for (let i = 0; i < time.length; i++) {
    if (gaps[next] === i) {
      out[0].push((time[i - 1] + time[i]) / 2);
      for (let k = 1; k < out.length; k++) out[k].push(null);
      next += 1;
    }
    out[0].push(time[i]);
    lines.forEach((values, k) => out[k + 1].push(values[i]));
  }
  return out;
}

/** A pleasant range for an axis. */
export function axisRange(unit, least, most) {
  if (unit === "%") return [0, 100];
  if (!Number.isFinite(least) || !Number.isFinite(most)) return [0, 1];
  if (unit === "°C") return [Math.floor((least - 4) / 5) * 5, Math.ceil((most + 4) / 5) * 5];
  if (unit === "MHz" && least > 0) return [Math.floor((least - 60) / 100) * 100, Math.ceil((most + 60) / 100) * 100];
  if (most <= 0) return [0, 1];
  const size = 10 ** Math.floor(Math.log10(most * 1.08));
  return [0, [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * size).find((top) => top >= most * 1.08)];
}
