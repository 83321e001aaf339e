// The fleet at a glance: a handful of large numbers above the map.

import { Tiles } from "./tiles.js";
import { many, say } from "./words.js";

export class FleetTiles {
  constructor(board, role) {
    Object.assign(this, { board, role, tiles: new Tiles() });
    this.element = this.tiles.element;
  }

  paint() {
    const feed = this.board.store.of(this.role)[0];
    const sample = feed && this.board.view.sample(feed);
    this.element.hidden = !sample;
    if (sample) this.tiles.update(fleetNumbers(feed, sample));
  }
}

/** [{label, value, unit, under}] of a fleet at one moment; what no entity has is left out. */
export function fleetNumbers(feed, sample) {
  const sums = (name) => (feed.columns.has(name) ? feed.sums(sample, feed.columns.get(name)) : null);
  const one = feed.whole.length === 1;
  const found = [];
  const busy = sums("busy");
  if (busy) found.push({ label: one ? "busy" : "busy, mean", value: busy.mean, unit: "%", under: one ? "" : spread(busy, "%") });
  const memory = sums("memory_used");
  if (memory) {
    const whole = sums("memory_total");
    const share = whole?.sum ? `${Math.round((memory.sum / whole.sum) * 100)} % of ${say(whole.sum, "B")}` : "";
    found.push({ label: "memory", value: memory.count ? memory.sum : NaN, unit: "B", under: share });
  }
  const power = sums("power");
  if (power) {
    const limit = sums("power_limit");
    const under = limit?.sum ? `of ${say(limit.sum, "W")} allowed` : "";
    found.push({ label: "power", value: power.count ? power.sum : NaN, unit: "W", under: power.count ? under : "no power sensor" });
  }
  const load = sums("load");
  if (load) found.push({ label: "load, 1 min", value: load.mean, unit: "" });
  const heat = sums("temperature");
  if (heat && (heat.count || !load)) {
    const who = heat.most >= 0 ? feed.entities[heat.most].path.slice(-2).join(" › ") : "no sensor";
    found.push({ label: one ? "temperature" : "hottest", value: heat.count ? heat.max : NaN, unit: "°C", under: one ? "" : who });
  }
  const lost = lostOnes(feed, sample);
  if (lost) found.push({ label: "lost", value: lost, unit: "", under: `of ${many(feed.whole.length, "device")}`, bad: true });
  return found;
}

const spread = ({ count, min, max }, unit) => (count ? `${say(min, unit)} to ${say(max, unit)}` : "");

function lostOnes(feed, sample) {
  const column = feed.columns.get("busy") ?? 0;
  return feed.metrics.length ? feed.sums(sample, column).states[2] : 0;
}
