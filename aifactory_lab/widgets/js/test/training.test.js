import assert from "node:assert/strict";
import { test } from "node:test";
import { apart } from "../src/curve.js";
import { trainingNumbers } from "../src/training.js";
import { Feed } from "../src/wire.js";
import { amount } from "../src/words.js";
import { f32, layout } from "./feeds.js";

const metric = (name, unit = "") => ({ name, label: name, unit, kind: "gauge", top: null });
const METRICS = [metric("tokens_rate", "tokens/s"), metric("mfu", "%"), metric("eta", "s")];
const un = "unsupported";

function shown(state, row, more = {}) {
  const feed = new Feed(layout([["here/run-1", "training", "d4", ""]], { metrics: METRICS }));
  feed.tick({ t: 1 }, [f32([row]).buffer]);
  const words = {
    state, took: 130, tokens: 204_800, peak: "190 GFLOP/s", standing: "below gzip 1.92", typical: { rate: 8000, mfu: 33 },
    curves: { smooth: [7.6, 3.21] }, scores: [{ name: "bits_per_byte", label: "held-out bits per byte", values: [2.5, 1.7] }], ...more,
  };
  return trainingNumbers(words, feed, feed.latest);
}

test("a training at work shows the moment, beside the peak and the baselines", () => {
  const [loss, score, rate, mfu, left] = shown("running", [8123, 33.5, 48]);
  assert.deepEqual([loss.value, score.value, score.label, score.under], [3.21, 1.7, "bits per byte", "below gzip 1.92"]);
  assert.deepEqual([rate.value, rate.under], [8123, "median 8\u202fk tokens/s"]);
  assert.deepEqual([mfu.value, mfu.under, mfu.share], [33.5, "of 190 GFLOP/s", 0.335]);
  assert.deepEqual([left.label, left.value], ["time left", "48 s"]);
});

test("one that has ended shows what was typical, and no time left", () => {
  const [, , rate, mfu, took] = shown("finished", [un, un, un]);
  assert.deepEqual([rate.value, rate.under], [8000, "median of 204,800 tokens"]);
  assert.deepEqual([mfu.value, mfu.under], [33, "median, of 190 GFLOP/s"]);
  assert.deepEqual([took.label, took.value], ["took", "2 min"]);
});

test("what is not known is a dash, never zero", () => {
  const none = { typical: { rate: null, mfu: null }, curves: { smooth: [] }, scores: [], standing: "", peak: "" };
  const [loss, score, rate, mfu, left] = shown("running", [un, un, un], none);
  for (const { value } of [loss, score, rate, mfu]) assert.ok(Number.isNaN(value));
  assert.deepEqual([rate.under, mfu.under, left.value], ["", "peak not known", "–"]);
});

test("names keep their distance and stay above the bottom", () => {
  assert.deepEqual(apart([10, 12, 90], 13, 100), [10, 23, 90]);
  assert.deepEqual(apart([96, 98, 99], 13, 100), [74, 87, 100]);
  assert.deepEqual(apart([], 13, 100), []);
});

test("amounts take little room", () => {
  assert.deepEqual([0, 950, 25_000, 1_074_432].map(amount), ["0", "950", "25\u202fk", "1.07\u202fM"]);
});
