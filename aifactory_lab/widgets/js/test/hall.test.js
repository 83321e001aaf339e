import assert from "node:assert/strict";
import { test } from "node:test";
import { corners, fit, rowWay, WAYS } from "../src/hallcamera.js";
import { totalWords } from "../src/halllegend.js";
import { DEGRADED, DOWN, Hall, LOOK, lookOf, UNKNOWN, UP, Values } from "../src/hallmodel.js";

const f32 = (...numbers) => new DataView(Float32Array.from(numbers).buffer);
const u8 = (...numbers) => new DataView(Uint8Array.from(numbers).buffer);
const u16 = (...numbers) => new DataView(Uint16Array.from(numbers).buffer);
const u32 = (...numbers) => new DataView(Uint32Array.from(numbers).buffer);

/** Two rows of racks face each other across an aisle; the last rack holds switches; a CDU stands at the end. */
function hall(each = 4) {
  const places = [0, 1].flatMap((row) => Array.from({ length: each }, (_, i) => [0.6 * i, 3 * row]));
  const n = places.length;
  return new Hall({
    extent: [-1, -1, 0.6 * each + 1, 5, 4],
    racks: {
      names: places.map((_, i) => `rack ${i}`), ids: places.map((_, i) => i + 100),
      boxes: f32(...places.flatMap(([x, y]) => [x, y, 0.6, 1, 2, 0])), fronts: u8(...places.map((_, i) => (i < each ? 1 : 3))),
      kinds: u8(...places.map((_, i) => Number(i === n - 1))), kindNames: ["gpu", "network"],
      rows: u16(...places.map((_, i) => Math.floor(i / each))), rowNames: ["a", "b"], gpus: u16(...places.map(() => 72)),
    },
    coolers: { names: ["CDU 0"], boxes: f32(0.6 * each, 0, 0.8, 1.2, 2.2, 0), fronts: u8(1), kinds: u8(0), kindNames: ["cdu"] },
    lines: [
      { system: "supply", drop: false, width: 0.2, lengths: u32(3, 2), points: f32(0, 0, 3, 1, 0, 3, 1, 2, 3, 5, 5, 3, 6, 5, 3) },
      { system: "supply", drop: true, width: 0.4, lengths: u32(2), points: f32(0, 0, 3, 0, 0, 2) },
    ],
  });
}

function values(numbers, states) {
  return new Values({ measures: [{ name: "watts", label: "power", unit: "W", low: 0, high: 100, numbers: f32(...numbers) }], states: u8(...states), notes: { 1: "why" } }, 8);
}

test("a hall is read back from its buffers, also from ones that are not aligned", () => {
  const { boxes } = { boxes: Float32Array.from([1, 2, 0.6, 1, 2, 0]) };
  const odd = new Uint8Array(25);
  odd.set(new Uint8Array(boxes.buffer), 1);
  const told = { names: ["rack 0"], ids: [7], boxes: new DataView(odd.buffer, 1, 24), fronts: u8(1), kinds: u8(0), kindNames: ["gpu"], rows: u16(0), rowNames: ["0"], gpus: u16(8) };
  const one = new Hall({ extent: [0, 0, 3, 3, 3], racks: told, coolers: { names: [], boxes: f32(), fronts: u8(), kinds: u8(), kindNames: [] }, lines: [] });
  const { x, y, w, d, h } = one.box(0);
  assert.deepEqual([x, y, Math.fround(0.6), d, h], [1, 2, w, 1, 2]);
  assert.equal(one.places.get(7), 0);
});

test("lines fall into pieces at their bends, and what comes down is thin", () => {
  const pieces = [...hall().pieces("supply"), ...hall().pieces("supply", true)];
  assert.equal(pieces.length, 4);
  assert.deepEqual(pieces[1].slice(0, 6), [1, 0, 3, 1, 2, 3]);
  assert.deepEqual(pieces.map((piece) => piece[6]), [0.2, 0.2, 0.2, 0.08]);
});

test("a ray meets the first box in its way, and none beside them", () => {
  const it = hall();
  assert.equal(it.hit([0.6, -9, 1], [0, 1, 0]), 1); // not rack 5, which stands behind
  assert.equal(it.hit([0.6, 9, 1], [0, -1, 0]), 5);
  assert.equal(it.hit([0.6, 1.5, 1], [0, 1, 0]), 5);
  assert.equal(it.hit([0.6, -9, 2.5], [0, 1, 0]), -1);
  assert.equal(it.hit([0.6, -9, 1], [0, -1, 0]), -1); // behind the eye
  assert.equal(it.under(0.6, 0.4), 1);
  assert.equal(it.under(0.6, 1.5), -1);
});

test("a ray from anywhere meets what a search point by point meets", () => {
  const it = hall(6);
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  let met = 0;
  for (let round = 0; round < 300; round++) {
    const from = [random() * 8 - 2, -4, random() * 3];
    const way = [random() - 0.5, 1, random() - 0.6];
    let found = -1;
    for (let t = 0; t < 12 && found < 0; t += 0.002) {
      const [x, y, z] = from.map((part, axis) => part + t * way[axis]);
      const under = it.under(x, y);
      if (under >= 0 && z >= 0 && z <= it.box(under).h) found = under;
    }
    if (found >= 0) met += 1;
    const hit = it.hit(from, way);
    if (hit !== found) assert.ok(Math.abs(it.box(Math.max(hit, found)).x - it.box(Math.max(0, Math.min(hit, found))).x) <= 0.75, `${hit} ${found}`);
  }
  assert.ok(met > 60);
});

test("arrows go along a row, across the aisle, and nowhere at the end", () => {
  const it = hall();
  assert.equal(it.neighbour(0, 1, 0), 1);
  assert.equal(it.neighbour(1, 0, 1), 5);
  assert.equal(it.neighbour(5, 0, -1), 1);
  assert.equal(it.neighbour(0, -1, 0), 0);
  assert.deepEqual(it.rowOfRack(6), [4, 5, 6, 7]);
});

test("what is not known and what is down never looks like a value", () => {
  const known = values([0, 50, NaN, 100, 20, NaN, 7, 5], [UP, DEGRADED, UP, DOWN, UNKNOWN, DEGRADED, UP, UP]);
  const looks = [...Array(9).keys()].map((place) => lookOf(hall(), known, "watts", place));
  const { VALUE, DEGRADED: HURT, DOWN: DEAD, UNKNOWN: HIDDEN, SWITCHES, CDU } = LOOK;
  assert.deepEqual(looks, [VALUE, HURT, HIDDEN, DEAD, HIDDEN, HIDDEN, VALUE, SWITCHES, CDU]);
  assert.equal(lookOf(hall(), known, "celsius", 0), HIDDEN);
  assert.equal(known.share("watts", 1), 0.5);
  assert.ok(Number.isNaN(known.share("watts", 2)));
  assert.deepEqual(known.counts(hall()), [3, 2, 1, 1]);
  assert.equal(known.sums("watts").sum, 182);
  assert.equal(lookOf(hall(), new Values({}, 8), "watts", 0), HIDDEN);
});

test("what adds up is summed, what does not has a range, and nothing is said to be nothing", () => {
  const known = values([0, 50, NaN, 100, 20, NaN, 7, 5], [UP, UP, UP, UP, UP, UP, UP, UP]);
  assert.equal(totalWords(known, known.measure("watts")), "182\u202fW in 6 racks");
  const warm = { ...known.measure("watts"), unit: "°C" };
  assert.equal(totalWords(known, warm), "0 to 100\u202f°C, mean 30.3\u202f°C");
  const none = values(Array(8).fill(NaN), Array(8).fill(UP));
  assert.equal(totalWords(none, none.measure("watts")), "nothing is known yet");
});

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const minus = (a, b) => a.map((part, axis) => part - b[axis]);
const times = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

for (const [named, way] of [["hall", WAYS.hall], ["top", WAYS.top], ["row", rowWay(3)]]) {
  for (const box of [[0, 0, 0, 4, 3, 2], [0, 0, 0, 120, 20, 4], [5, 5, 0, 9, 300, 4]]) {
    test(`the ${named} view has all of ${box} in its picture, and fills it`, () => {
      for (const aspect of [0.8, 2.4]) {
        const fov = 0.52;
        const { position, target } = fit(box, way, { fov, aspect });
        const ahead = minus(target, position).map((part) => part / Math.hypot(...minus(target, position)));
        const right = times(ahead, [0, 0, 1]).map((part, _, all) => part / Math.hypot(...all));
        const up = times(right, ahead);
        const tall = Math.tan(fov / 2);
        const shares = corners(box).map((corner) => {
          const from = minus(corner, position);
          return Math.max(Math.abs(dot(from, right)) / (tall * aspect), Math.abs(dot(from, up)) / tall) / dot(from, ahead);
        });
        assert.ok(shares.every((share) => share > 0 && share <= 1.001), `${shares}`);
        assert.ok(Math.max(...shares) > 0.85, `${shares}`);
      }
    });
  }
}
