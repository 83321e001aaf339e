import assert from "node:assert/strict";
import { test } from "node:test";
import { clipped, fitting, gpuRows, jobRows, ticksOf } from "../src/gantt.js";
import { idleDevices, sizeOf } from "../src/gpumap.js";
import { fleetNumbers, idleWords } from "../src/jobs.js";
import { coloursOf } from "../src/projects.js";
import { reasonOf } from "../src/queue.js";
import { hoursOf, hoursWords, quotaBars, sentence } from "../src/quota.js";

const project = (name, quota, used, borrowed = 0, more = {}) => ({ project: name, quota, used, borrowed, waiting: 0, running: 1, pending: 0, ...more });
const run = (job, start, end, devices = [], more = {}) => ({ job, start, end, devices, borrowed: false, state: end === null ? "RUNNING" : "COMPLETED", ...more });

test("bars of all projects have one scale, and what is borrowed lies beyond the quota", () => {
  const [vision, nlp] = quotaBars([project("vision", 4, 6, 2), project("nlp", 4, 2)], 8);
  assert.deepEqual(vision, { own: 0.5, borrowed: 0.25, quota: 0.5 });
  assert.deepEqual(nlp, { own: 0.25, borrowed: 0, quota: 0.5 });
});

test("a scheduler without quota has bars without a mark, and nothing at all is no error", () => {
  assert.equal(quotaBars([project("a", null, 3)], 4)[0].quota, null);
  assert.deepEqual(quotaBars([], 0), []);
  assert.deepEqual(quotaBars([project("a", null, null, null)], 0), [{ own: 0, borrowed: 0, quota: null }]);
});

test("a project is told in a sentence", () => {
  assert.equal(sentence(project("vision", 4, 6, 2, { running: 3, pending: 2, waiting: 5 })), "vision uses 6 GPUs of a quota of 4, 2 of them borrowed; 3 jobs running, 2 waiting for 5 GPUs");
  assert.equal(sentence(project("a", null, 1)), "a uses 1 GPU; 1 job running, 0 waiting for 0 GPUs");
  const usage = [{ project: "a", user: "ada", gpu_hours: 12.34 }, { project: "b", user: "bob", gpu_hours: 1 }];
  assert.equal(hoursWords("a", usage, 7), "GPU-hours in the last 7 days: ada 12.3");
});

test("a gang is one block on each of its nodes, and what has none of the GPUs is counted", () => {
  const devices = ["n1:0", "n1:1", "n2:0", "n2:1"];
  const { bars, breaks, left } = gpuRows([run("1", 0, null, ["n2:0", "n1:1", "n1:0"]), run("2", 0, 9, ["n2:1"]), run("3", 0, 9)], devices);
  assert.deepEqual(bars.map(({ job, row, rows }) => [job, row, rows]), [["1", 0, 2], ["1", 2, 1], ["2", 3, 1]]);
  assert.deepEqual([breaks, left], [[2], 1]);
});

test("by job the newest is at the top, all attempts in one row, and old ones are counted", () => {
  const jobs = { a: { name: "first" }, b: { name: "second" } };
  const { bars, labels } = jobRows([run("a", 0, 5), run("b", 3, null), run("a", 8, null)], jobs);
  assert.deepEqual(labels, ["second", "first"]);
  assert.deepEqual(bars.map(({ job, row }) => [job, row]), [["a", 1], ["b", 0], ["a", 1]]);
  const many = Array.from({ length: 500 }, (_, i) => run(String(i), i, i + 1));
  const drawn = jobRows(many, {});
  assert.deepEqual([drawn.labels.length, drawn.left, drawn.labels[0]], [24, 476, "499"]);
});

test("the window shows what ran lately, and no more", () => {
  assert.equal(fitting([], 10_000), 300);
  assert.equal(fitting([run("1", 9_900, null)], 10_000), 300);
  assert.equal(fitting([run("1", 9_000, null)], 10_000), 1800);
  assert.equal(fitting([run("1", 1_000, 2_000), run("2", 9_900, null)], 10_000), 300);
  assert.equal(fitting([run("1", 0, null)], 1e6), 14_400);
});

test("ticks are round moments that do not touch", () => {
  for (const [length, width] of [[300, 280], [300, 1200], [1800, 600], [14_400, 900]]) {
    const ticks = ticksOf(1_700_000_123, 1_700_000_123 + length, width);
    const step = ticks[1] - ticks[0];
    assert.ok(ticks.length >= 1 && !((step / length) * width < 72), `${length} s in ${width} px`);
    assert.ok(ticks.every((time) => time % 10 === 0));
  }
});

test("names are cut with an ellipsis, or left away where there is no room", () => {
  assert.deepEqual(["pretrain", "a-very-long-name"].map((name) => clipped(name, 62)), ["pretrain", "a-very-lo…"]);
  assert.equal(clipped("pretrain", 12), "");
});

test("colours follow the names, whatever comes and goes, and ten projects differ", () => {
  const words = { projects: ["nlp", "vision"].map((name) => project(name, 4, 1)), jobs: { 1: { project: "vision" } } };
  const light = coloursOf(words, "light");
  assert.deepEqual([...light], [["nlp", "#0072B2"], ["vision", "#E69F00"]], "as in the figures");
  assert.equal(coloursOf({ projects: [], jobs: words.jobs }, "light").get("vision"), light.get("vision"));
  assert.notEqual(light.get("nlp"), coloursOf(words, "dark").get("nlp"));
  const ten = coloursOf({ projects: Array.from({ length: 10 }, (_, i) => project(`p${i}`, 1, 1)), jobs: {} }, "dark");
  assert.equal(new Set(ten.values()).size, 10);
});

test("cells shrink before a map of a thousand GPUs grows", () => {
  assert.deepEqual([0, 8, 64, 1024].map(sizeOf), ["large", "large", "middle", "small"]);
});

test("idle GPUs are pointed at, in words and in the numbers", () => {
  const idle = [{ job: "7", devices: ["n1:0", "n1:1"], since: 100, by: "GPU" }];
  const jobs = { 7: { name: "notebook", project: "nlp", gpus: 2 } };
  assert.deepEqual([...idleDevices(idle).keys()], ["n1:0", "n1:1"]);
  assert.equal(idleWords(idle[0], jobs, 400), "notebook (job 7, nlp) holds 2 GPUs; they have done nothing for 5 min.");
  assert.match(idleWords({ ...idle[0], by: "CPU time" }, jobs, 400), /its processes have done nothing/);
  const totals = { gpus: 8, used: 8, asked: 4, borrowed: 2, waiting: 1, running: 3, nodes: 2 };
  const words = { totals, projects: [project("nlp", 4, 2)], usage: [{ gpu_hours: 1.5 }], usage_days: 7, idle, jobs };
  const tiles = Object.fromEntries(fleetNumbers(words).map((tile) => [tile.label, tile]));
  assert.deepEqual([tiles["GPUs in use"].value, tiles["GPUs in use"].under, tiles["GPUs in use"].share], ["8", "of 8 on 2 nodes", 1]);
  assert.deepEqual([tiles["held and idle"].value, tiles["held and idle"].bad], ["2", true]);
  assert.equal(tiles["GPUs borrowed"].value, "2");
});

test("no GPUs and no quota are said, not shown as zeros of something", () => {
  const totals = { gpus: 0, used: 0, asked: 0, borrowed: 0, waiting: 0, running: 0, nodes: 0 };
  const tiles = fleetNumbers({ totals, projects: [], usage: [], usage_days: 7, idle: [], jobs: {} });
  assert.deepEqual([tiles[0].value, tiles[0].under], ["–", "no GPUs are counted"]);
  assert.ok(!tiles.some(({ label }) => label === "GPUs borrowed"));
});

test("a sentence does not repeat the name that stands beside it", () => {
  const of = (why) => reasonOf({ id: "15", why });
  assert.equal(of("job 15 (train-4) waits again: 0 of 8 GPUs are free"), "0 of 8 GPUs are free");
  assert.equal(of("job 15 waits for 2 GPUs; 1 is free"), "for 2 GPUs; 1 is free");
  assert.equal(of("job 15 waits, it is not its turn"), "it is not its turn");
  assert.equal(of("there is no job 15"), "there is no job 15");
  assert.deepEqual([0, 0.0906, 9.876, 15.8, 1234.5].map(hoursOf), ["0.00", "0.09", "9.88", "15.8", "1,235"]);
});
