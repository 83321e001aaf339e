import assert from "node:assert/strict";
import { test } from "node:test";
import { Feed, LOST, roundUp, STALE, UNSUPPORTED, VALUE } from "../src/wire.js";
import { f32, layout } from "./feeds.js";

const tick = (feed, t, bytes, more = {}) => feed.tick({ t, ...more }, [new DataView(bytes.buffer)]);

test("float cells keep their values, and states are told apart from zero", () => {
  const feed = new Feed(layout(["a", "b"]));
  tick(feed, 1, f32([[0, 40, 80], ["lost", "unsupported", "stale"]]));
  const sample = feed.latest;
  assert.deepEqual([0, 1, 2].map((c) => feed.value(sample, 0, c)), [0, 40, 80]);
  assert.equal(feed.state(sample, 0, 0), VALUE);
  assert.deepEqual([0, 1, 2].map((c) => feed.state(sample, 1, c)), [LOST, UNSUPPORTED, STALE]);
  assert.ok(Number.isNaN(feed.value(sample, 1, 0)));
});

test("bytes are shares of the full scale that held when they were sent", () => {
  const feed = new Feed(layout(["a", "b", "c"], { codec: "u8" }));
  tick(feed, 1, Uint8Array.from([125, 250, 0, 254, 253, 255, 250, 0, 0]), { tops: [100, 80, 80] });
  tick(feed, 2, Uint8Array.from([125, 250, 0, 0, 0, 0, 0, 0, 0]), { tops: [200, 80, 80] });
  const [first, second] = feed.samples;
  assert.equal(feed.value(first, 0, 0), 50);
  assert.equal(feed.value(second, 0, 0), 100);
  assert.deepEqual([0, 1, 2].map((c) => feed.state(first, 1, c)), [LOST, UNSUPPORTED, STALE]);
});

test("history lies in one buffer, at any offset, and a tick that came with it is not kept twice", () => {
  const feed = new Feed(layout(["a"]));
  const samples = [f32([[1, 2, 3]]), f32([[4, 5, 6]])];
  const raw = new Uint8Array(1 + 30);
  samples.forEach((bytes, i) => raw.set(bytes, 1 + i * 15));
  const times = new Float64Array([10, 11]);
  feed.history({ count: 2 }, [times.buffer, new DataView(raw.buffer, 1)]);
  assert.deepEqual(feed.samples.map((s) => [s.t, feed.value(s, 0, 2)]), [[10, 3], [11, 6]]);
  tick(feed, 11, samples[1]);
  tick(feed, 12, samples[0]);
  assert.deepEqual(feed.samples.map((s) => s.t), [10, 11, 12]);
});

test("the ring is bounded, and samples of another layout are not taken", () => {
  const feed = new Feed(layout(["a"]));
  for (let t = 0; t < 5000; t++) tick(feed, t, f32([[t, 0, 0]]));
  assert.ok(feed.samples.length <= 3960 && feed.samples.length >= 3600);
  tick(feed, 6000, new Uint8Array(7));
  assert.equal(feed.latest.t, 4999);
});

test("sums leave out what has no value, and instances that would count twice", () => {
  const feed = new Feed(layout(["n/g0", "n/g1", ["n/g1/m0", "mig", "", ""]]));
  tick(feed, 1, f32([[10, 1, 80], ["lost", "lost", "lost"], [90, 1, 40]]));
  const { mean, min, max, most, count, states } = feed.sums(feed.latest, 0);
  assert.deepEqual([mean, min, max, most, count, states], [10, 10, 10, 0, 1, [1, 0, 1, 0]]);
  assert.equal(feed.sums(feed.latest, 0, [0, 2]).mean, 50);
});

test("full scale: a number, another metric, or what was seen", () => {
  const other = { name: "load", label: "load", unit: "", kind: "gauge", top: null };
  const feed = new Feed(layout(["a", "b"], { metrics: [...layout([]).metrics, other] }));
  tick(feed, 1, f32([[10, 1, 80, 3.1], [20, 1, 96, 1]]));
  assert.deepEqual([0, 1, 3].map((c) => feed.scale(feed.latest, c)), [100, 96, 5]);
  assert.deepEqual([700, 1, 3e9, 0].map(roundUp), [1000, 1, 5e9, 1]);
});

test("the newest sample not after a moment", () => {
  const feed = new Feed(layout(["a"]));
  for (const t of [1, 2, 3]) tick(feed, t, f32([[0, 0, 0]]));
  assert.deepEqual([0, 1, 2.5, 9].map((t) => feed.before(t)), [-1, 0, 1, 2]);
});
