import assert from "node:assert/strict";
import { test } from "node:test";
import { count, kinds, many, parts, say, span } from "../src/words.js";

test("numbers are said as Metric.text says them", () => {
  const said = [[97, "%"], [351.26, "W"], [80e9, "B"], [0.0123, "s"], [1980, "MHz"], [12345, "/s"], [0, "B/s"], [2.5, "s"], [12_600, "tokens/s"]];
  assert.deepEqual(said.map(([value, unit]) => parts(value, unit).join(" ")),
    ["97 %", "351 W", "80 GB", "12.3 ms", "1,980 MHz", "12.3 k/s", "0 B/s", "2.5 s", "12.6 k tokens/s"]);
});

test("rounding does not cross into a fourth digit, and nothing is not zero", () => {
  assert.deepEqual(parts(999.9, "W"), ["1", "kW"]);
  assert.deepEqual(parts(NaN, "W"), ["–", ""]);
  assert.equal(say(-1500, "W"), "-1.5\u202fkW");
});

test("spans, counts and kinds", () => {
  assert.deepEqual([8, 180, 7500].map(span), ["8 s", "3 min", "2 h 5 min"]);
  assert.equal(count(10_000), "10,000");
  assert.equal(many(1, "GPU"), "1 GPU");
  assert.equal(kinds([{ kind: "gpu" }, { kind: "gpu" }, { kind: "mig" }]), "2 GPUs and 1 MIG instance");
  assert.equal(kinds([]), "nothing");
});
