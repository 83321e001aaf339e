import assert from "node:assert/strict";
import { test } from "node:test";
import { groupAt, hit, neighbour, plan } from "../src/plan.js";
import { grow, labelled } from "../src/tree.js";

const entity = (id, kind = "gpu") => ({ id, kind, path: id.split("/") });
const fleet = (count) => Array.from({ length: count }, (_, i) =>
  entity(`hall/rack ${i >> 6}/node ${i >> 3}/gpu ${i % 8}`));

test("entities are grouped by site, rack and node; missing levels are unnamed", () => {
  const tree = grow(fleet(130));
  assert.deepEqual(tree.sites.map((s) => s.racks.length), [3]);
  assert.deepEqual(tree.sites[0].racks.map((r) => r.nodes.length), [8, 8, 1]);
  assert.deepEqual(tree.sites[0].racks[2].nodes[0].rows, [128, 129]);
  assert.deepEqual(labelled(tree), { site: false, rack: true, node: true });
  assert.deepEqual(labelled(grow([entity("gpu 0"), entity("gpu 1")])), { site: false, rack: false, node: false });
});

test("an instance stands in its GPU; without its GPU it stands for itself", () => {
  const tree = grow([entity("n/g0"), entity("n/g0/m0", "mig"), entity("n/g0/m1", "mig")]);
  assert.deepEqual([...tree.parts], [[0, [1, 2]]]);
  assert.equal(grow([entity("n/g0/m0", "mig")]).sites[0].rows.length, 1);
});

for (const count of [1, 8, 64, 1024, 10_000]) {
  for (const width of [380, 600, 1400]) {
    test(`${count} GPUs at ${width} px: every cell once, inside, apart`, () => {
      const { cells, height, size } = plan(grow(fleet(count)), width, 440);
      assert.equal(new Set(cells.map((cell) => cell.row)).size, count);
      for (const { x, y, w, h } of cells) {
        assert.ok(x >= 0 && y >= 0 && x + w <= width + 0.5 && y + h <= height + 0.5, `${x} ${y} ${w} ${h}`);
      }
      const places = new Set(cells.map(({ x, y }) => `${x} ${y}`));
      assert.equal(places.size, count);
      if (size > 2) assert.ok(height <= 440);
      const { x, y, row } = cells.at(-1);
      assert.equal(hit(cells, x + 0.5, y + 0.5).row, row);
    });
  }
}

test("cells are as large as room allows", () => {
  const sizes = [8, 64, 1024, 10_000].map((count) => plan(grow(fleet(count)), 1400, 440).size);
  assert.ok(sizes[0] >= 40 && sizes[1] >= 28 && sizes[2] >= 8 && sizes[3] >= 3, sizes.join());
  assert.deepEqual(sizes, [...sizes].sort((a, b) => b - a));
});

test("thousands of GPUs without groups are laid out too", () => {
  const flat = Array.from({ length: 3000 }, (_, i) => entity(`gpu ${i}`));
  const { cells } = plan(grow(flat), 900, 440);
  assert.equal(cells.length, 3000);
  assert.ok(cells.every(({ x, w }) => x + w <= 900.5));
});

test("arrows go to the neighbour, and stay at the edge", () => {
  const { cells } = plan(grow(fleet(16)), 1400, 440);
  const [first, second] = cells;
  assert.equal(neighbour(cells, first, 1, 0).row, second.row);
  assert.equal(neighbour(cells, second, -1, 0).row, first.row);
  assert.equal(neighbour(cells, first, -1, 0).row, first.row);
  assert.equal(neighbour(cells, first, 0, -1).row, first.row);
  assert.notEqual(neighbour(cells, first, 0, 1).row, first.row);
});

test("instances share the lower part of their GPU, and are hit before it", () => {
  const { cells } = plan(grow([entity("n/g0"), entity("n/g0/m0", "mig"), entity("n/g0/m1", "mig")]), 400, 440);
  const [gpu, one, two] = cells;
  assert.equal(gpu.instances, 2);
  assert.equal(hit(cells, gpu.x + 2, gpu.y + 2).row, 0);
  assert.equal(hit(cells, one.x + 2, one.y + 2).row, 1);
  assert.equal(hit(cells, two.x + 2, two.y + 2).row, 2);
});

test("a label belongs to the innermost group around it", () => {
  const { groups } = plan(grow(fleet(128)), 1400, 440);
  const rack = groups.find((group) => group.kind === "rack");
  const node = groups.find((group) => group.kind === "node");
  assert.equal(groupAt(groups, rack.x + 3, rack.y + 8).name, rack.name);
  assert.equal(groupAt(groups, node.x + 3, node.y + 3).name, node.name);
  assert.equal(groupAt(groups, -5, -5), null);
});
