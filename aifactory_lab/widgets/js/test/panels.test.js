import assert from "node:assert/strict";
import { test } from "node:test";
import { costNumbers } from "../src/cost.js";
import { fleetNumbers } from "../src/fleettiles.js";
import { linesOf, stationsOf } from "../src/floor.js";
import { flowPlan } from "../src/flowplan.js";
import { serviceNumbers } from "../src/services.js";
import { Feed } from "../src/wire.js";
import { f32, layout } from "./feeds.js";

const metric = (name, unit = "", top = null) => ({ name, label: name, unit, kind: "gauge", top });

function feedOf(entities, metrics, rows) {
  const feed = new Feed(layout(entities, { metrics }));
  feed.tick({ t: 1 }, [f32(rows).buffer]);
  return feed;
}

for (const [count, width, columns] of [[6, 1300, 6], [6, 700, 3], [6, 380, 1], [7, 1300, 7], [1, 900, 1]]) {
  test(`${count} stations at ${width} px stand in ${columns} columns, apart and inside`, () => {
    const plan = flowPlan(count, width);
    assert.equal(plan.columns, columns);
    assert.equal(plan.arrows.length, count - 1);
    for (const { x, y, w, h } of plan.boxes) assert.ok(x >= 0 && x + w <= width + 0.5 && y + h <= plan.height);
    const overlaps = plan.boxes.some((a, i) => plan.boxes.some((b, k) => k > i && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h));
    assert.ok(!overlaps);
  });
}

test("a station is at work, idle, or never ran; unknown joules are said", () => {
  const metrics = ["rate", "made", "active", "waiting", "seconds", "joules", "floor_share"].map((name) => metric(name));
  const un = "unsupported";
  const feed = feedOf(["f/etl", "f/train", "f/tune"], metrics, [
    [0, 338412, 0, un, 2.31, 412, 21.4], [1.2e6, 9e6, 1, 3, 41, un, un], [un, un, un, un, un, un, un],
  ]);
  const floor = { flow: [{ station: "etl", label: "ETL", unit: "rows" }], bottleneck: { station: "train", reason: "slow" } };
  const [etl, train, tune] = stationsOf(feed, feed.latest, floor);
  assert.deepEqual([etl.words.label, etl.words.big, etl.words.unit, etl.words.spent], ["ETL", "338", "k rows", "412\u202fJ"]);
  assert.deepEqual([train.active, train.held, train.words.spent, train.words.more], [true, true, "energy unknown", "3 waiting"]);
  assert.deepEqual([tune.never, tune.words.unit], [true, "never ran"]);
});

test("a line that never ran is folded, unless none has", () => {
  const of = (line, never) => ({ line, never });
  const folded = (...stations) => linesOf(stations).map(({ name, folded: yes }) => [name, yes]);
  assert.deepEqual(folded(of("decisions", false), of("decisions", true), of("tokens", true)), [["decisions", false], ["tokens", true]]);
  assert.deepEqual(folded(of("decisions", true), of("tokens", true)), [["decisions", false], ["tokens", false]]);
  assert.deepEqual(folded(of("", true)), [["", false]]);
});

test("what an endpoint does not expose is named, never zero", () => {
  const metrics = [metric("rows_rate", "rows/s"), metric("latency_p50", "s"), metric("latency_p95", "s"), metric("tokens_rate", "tokens/s")];
  const feed = feedOf([["e", "service", "", ""]], metrics, [[40_000, 0.006, 0.014, "unsupported"]]);
  const output = { services: { e: { unit: "rows", joules_per_1000: 12.5, why: "" } } };
  const { shown, hidden } = serviceNumbers(feed, feed.latest, 0, { roofline: { rows_rate: 80_000 } }, output);
  assert.deepEqual(shown.map(({ label }) => label), ["rows", "latency, median", "J per 1,000"]);
  assert.equal(shown[0].share, 0.5);
  assert.equal(shown[1].under, "p95 14\u202fms");
  assert.deepEqual([shown[2].value, shown[2].under], [12.5, "rows"]);
  assert.ok(hidden.includes("tokens") && hidden.includes("TTFT") && hidden.includes("requests"));
  const { shown: without } = serviceNumbers(feed, feed.latest, 0, {}, null);
  assert.deepEqual([without.at(-1).value, without.at(-1).under], [NaN, "unknown: no energy counter"]);
});

test("cost follows the assumptions, and is unknown without a counter", () => {
  const output = { watts: 1000, of: "2 GPUs", joules: 3.6e6, seconds: 3600, services: {} };
  const [now, meter, energy, money] = costNumbers(output, 0.25, 2);
  assert.deepEqual([now.value, meter.value, energy.value, money.value], [1000, 2000, 2000, "$0.50"]);
  assert.equal(money.under, "$0.50 an hour");
  for (const tile of costNumbers({ watts: null, joules: null, services: {} }, 0.25, 2)) {
    assert.ok(Number.isNaN(tile.value) || tile.value === "–");
    assert.equal(tile.under, "unknown: no energy counter");
  }
});

test("a fleet at a glance: shares, limits, the hottest, the lost", () => {
  const metrics = [metric("busy", "%", 100), metric("memory_used", "B"), metric("memory_total", "B"), metric("temperature", "°C")];
  const feed = feedOf(["n/g0", "n/g1", "n/g2"], metrics, [[80, 40e9, 80e9, 60], [100, 60e9, 80e9, 71], ["lost", "lost", "lost", "lost"]]);
  const [busy, memory, heat, lost] = fleetNumbers(feed, feed.latest);
  assert.equal(busy.value, 90);
  assert.equal(memory.under, "63 % of 160\u202fGB");
  assert.deepEqual([heat.value, heat.under], [71, "n › g1"]);
  assert.deepEqual([lost.value, lost.under, lost.bad], [1, "of 3 devices", true]);
});
