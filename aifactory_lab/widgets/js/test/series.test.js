import assert from "node:assert/strict";
import { test } from "node:test";
import { colour, inkOn, level, stationColour } from "../src/palette.js";
import { axisRange, broken, envelope, line, times, total, window } from "../src/series.js";
import { View } from "../src/view.js";
import { Feed } from "../src/wire.js";
import { f32, layout } from "./feeds.js";

function filled() {
  const feed = new Feed(layout(["a", "b"]));
  for (let t = 0; t < 10; t++) {
    feed.tick({ t }, [f32([[t, 1, 80], [t === 5 ? "lost" : t * 2, 1, 80]]).buffer]);
  }
  return feed;
}

test("a window has one sample more on each side", () => {
  assert.deepEqual(times(window(filled(), 3.5, 6.5)), [3, 4, 5, 6, 7]);
  assert.deepEqual(times(window(filled(), -5, 99)).length, 10);
});

test("lines have holes where there is no value; the envelope leaves it out", () => {
  const feed = filled();
  assert.deepEqual(line(feed, feed.samples, 1, 0).slice(4, 7), [8, null, 12]);
  const [mean, least, most] = envelope(feed, feed.samples, 0);
  assert.deepEqual([mean[4], mean[5], least[6], most[6]], [6, 5, 6, 12]);
  assert.deepEqual(total(feed, feed.samples, 0).slice(4, 6), [12, 5]);
});

test("a silence is a hole, not a bridge", () => {
  assert.deepEqual(broken([0, 1, 9, 10], [[1, 2, 3, 4]], 1), [[0, 1, 5, 9, 10], [1, 2, null, 3, 4]]);
  assert.deepEqual(broken([0, 1, 2], [[1, 2, 3]], 1), [[0, 1, 2], [1, 2, 3]]);
});

test("axes have pleasant ranges", () => {
  assert.deepEqual(axisRange("%", 20, 30), [0, 100]);
  assert.deepEqual(axisRange("W", 100, 610), [0, 800]);
  assert.deepEqual(axisRange("°C", 51, 68), [45, 75]);
  assert.deepEqual(axisRange("W", null, null), [0, 1]);
});

test("colours are monotone and clamped, ink can be read on them", () => {
  assert.deepEqual([-1, 0, 1, 7].map(level), [0, 0, 255, 255]);
  assert.equal(colour(0), "rgb(68,1,84)");
  assert.deepEqual([inkOn(0), inkOn(1)], ["#ffffff", "#10131a"]);
  assert.equal(stationColour("ETL"), stationColour("etl"));
  assert.equal(stationColour("my station"), stationColour("my station"));
});

test("a pause stands still while data go on; resuming follows again", () => {
  const feed = filled();
  const view = new View(() => {});
  view.pause([feed]);
  feed.tick({ t: 20 }, [f32([[50, 1, 80], [50, 1, 80]]).buffer]);
  assert.equal(view.sample(feed).t, 9);
  assert.deepEqual(view.range([feed]), [-51, 9]);
  view.pause([feed]);
  assert.equal(view.sample(feed).t, 20);
});

test("zoom keeps the moment under the pointer, pan moves, picking adds and takes out", () => {
  const view = new View(() => {});
  view.set({ zoom: [0, 100] });
  view.zoomBy(0.5, 20, []);
  assert.deepEqual(view.zoom, [10, 60]);
  view.panBy(5, []);
  assert.deepEqual(view.zoom, [15, 65]);
  view.pick(0, "a", false);
  view.pick(0, "b", true);
  assert.deepEqual(view.selected.map((one) => one.id), ["a", "b"]);
  view.pick(0, "a", true);
  assert.deepEqual(view.selected.map((one) => one.id), ["b"]);
  assert.deepEqual(view.open, { feed: 0, id: "a" });
});
