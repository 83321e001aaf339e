// Where the cells of the heat map lie: the largest cells with which the whole fleet fits. Pure.
//
// A node is a block of cells, a rack is a column of nodes in a frame, racks flow like words in lines, and sites
// stand below each other.

import { labelled } from "./tree.js";

const SIZES = [64, 56, 48, 44, 40, 36, 32, 28, 24, 22, 20, 18, 16, 14, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2];
const CARD = 40; // from this height a cell has room for a name and a number
const WIDEST = 190;

/**
 * Lay out a tree of entities.
 *
 * Returns {cells: [{row, x, y, w, h, part?}], groups: [{kind, name, rows, x, y, w, h, label?}], size, width, height},
 * cells in reading order.
 */
export function plan(tree, width, most) {
  const named = labelled(tree);
  for (const size of SIZES) {
    for (const m of measures(tree, size)) {
      const found = place(tree, named, m, width);
      if (found.overflow && size > 2) continue;
      if (found.height <= most || size === 2) return finish(stretched(found, tree, width), tree, width);
    }
  }
  return null;
}

/** Columns a node may have: all in a row, or, where cells are large, folded. */
function shapes(tree, size) {
  const largest = Math.max(1, ...tree.sites.flatMap((s) => s.racks.flatMap((r) => r.nodes.map((n) => n.rows.length))));
  if (largest <= 16) return size >= 20 ? [8, 4, 2, 1].filter((c) => c === 1 || c <= largest || c / 2 < largest) : [8];
  return [Math.ceil(Math.sqrt(largest * 4)), Math.ceil(Math.sqrt(largest * 2)), Math.ceil(Math.sqrt(largest)), 8];
}

/** Ways to set cells of a size: with the names of nodes, and, for small cells, without. */
function measures(tree, size) {
  const racks = tree.sites.flatMap((site) => site.racks);
  const nodes = Math.max(...racks.map((rack) => rack.nodes.length), 1);
  const abreast = racks.length > 4 ? [1] : [1, 2, 3, 4, 6, 8].filter((across) => across <= nodes);
  const all = shapes(tree, size).flatMap((columns) => abreast.map((across) => ({ ...measure(size, columns), abreast: across })));
  return size >= 14 && size < 32 ? [...all, ...all.map((m) => ({ ...m, nodeLabel: 0 }))] : all;
}

function measure(size, columns) {
  const card = size >= CARD;
  return {
    size, columns, card,
    width: card ? Math.round(size * 1.5) : size,
    gap: card ? 4 : size >= 12 ? 2 : size >= 4 ? 1 : 0,
    pad: card ? 8 : size >= 8 ? 5 : 3,
    between: card ? 12 : size >= 8 ? 8 : 4,
    nodeLabel: size >= 14 ? 17 : 0,
    rackLabel: columns * (size + 1) >= 40 ? 18 : 0, // a name that cannot be read takes no room
    siteLabel: 24,
  };
}

function place(tree, named, m, width) {
  const cells = [];
  const groups = [];
  let y = 0;
  let overflow = false;
  let lines = 0;
  let widest = 0;
  for (const site of tree.sites) {
    const top = y;
    if (named.site) y += m.siteLabel;
    let x = 0;
    let tallest = 0;
    lines += 1;
    for (const rack of site.racks) {
      const block = rackBlock(rack, named, m);
      if (x > 0 && x + block.w > width) {
        y += tallest + m.between;
        x = tallest = 0;
        lines += 1;
      }
      if (block.w > width) overflow = true;
      emit(block, x, y, cells, groups);
      x += block.w + m.between;
      widest = Math.max(widest, x - m.between);
      tallest = Math.max(tallest, block.h);
    }
    y += tallest;
    groups.push({ kind: "site", name: site.name, rows: site.rows, x: 0, y: top, w: width, h: y - top, label: named.site });
    y += m.between + 4;
  }
  return { cells, groups, m, named, overflow, lines, widest, height: Math.max(0, y - m.between - 4) };
}

/** One rack: its nodes below each other, relative to its corner. */
function rackBlock(rack, named, m) {
  const framed = named.rack || named.node;
  const pad = framed ? m.pad : 0;
  const label = named.node && m.nodeLabel > 0;
  const head = label ? m.nodeLabel : 0;
  const below = label ? 8 : m.gap ? m.gap + 1 : 0;
  const wide = Math.max(...rack.nodes.map((node) => Math.min(m.columns, node.rows.length))) * (m.width + m.gap) - m.gap;
  const nodes = [];
  let y = pad + (named.rack ? m.rackLabel : 0);
  for (let first = 0; first < rack.nodes.length; first += m.abreast) {
    let tallest = 0;
    rack.nodes.slice(first, first + m.abreast).forEach((node, i) => {
      const columns = Math.min(m.columns, node.rows.length);
      const h = Math.ceil(node.rows.length / columns) * (m.size + m.gap) - m.gap;
      nodes.push({ node, columns, x: pad + i * (wide + m.between), y: y + head, w: columns * (m.width + m.gap) - m.gap, h, label, top: y });
      tallest = Math.max(tallest, h);
    });
    y += head + tallest + below;
  }
  const abreast = Math.min(m.abreast, rack.nodes.length);
  const w = abreast * (wide + m.between) - m.between + 2 * pad;
  return { rack, nodes, m, framed, label: named.rack && m.rackLabel > 0, w, h: y - below + pad };
}

function emit(block, x, y, cells, groups) {
  const { rack, m } = block;
  groups.push({
    kind: "rack", name: rack.name, rows: rack.rows, x, y, w: block.w, h: block.h,
    label: block.label, framed: block.framed,
  });
  for (const { node, columns, ...at } of block.nodes) {
    const corner = { x: x + at.x, y: y + at.y };
    groups.push({
      kind: "node", name: node.name, rows: node.rows, x: corner.x, y: y + at.top,
      w: at.w, h: at.y - at.top + at.h, label: at.label,
    });
    node.rows.forEach((row, i) => {
      cells.push({
        row, w: m.width, h: m.size,
        x: corner.x + (i % columns) * (m.width + m.gap),
        y: corner.y + Math.floor(i / columns) * (m.size + m.gap),
      });
    });
  }
}

/** Widen large cells to fill the width where the racks of a site stand in one line. */
function stretched(found, tree, width) {
  const { m, named, lines, widest } = found;
  if (!m.card || lines !== tree.sites.length) return found;
  const columns = Math.max(...tree.sites.map((site) => site.racks.reduce((sum, rack) => sum + across(rack, m), 0)));
  const wider = Math.min(WIDEST, m.width + Math.floor((width - widest) / Math.max(1, columns)));
  return wider > m.width ? place(tree, named, { ...m, width: wider }, width) : found;
}

const across = (rack, m) =>
  Math.min(m.abreast, rack.nodes.length) * Math.max(1, ...rack.nodes.map((node) => Math.min(m.columns, node.rows.length)));

/** Put MIG instances into their GPUs' cells. */
function finish({ m, cells, groups, height }, tree, width) {
  const whole = cells.flatMap((cell) => [cell, ...split(cell, tree.parts.get(cell.row) ?? [])]);
  return { cells: whole, groups, size: m.size, card: m.card, width, height };
}

/** Instances share the lower part of their GPU's cell. */
function split(cell, rows) {
  if (!rows.length) return [];
  cell.instances = rows.length;
  const top = cell.y + Math.round(cell.h * 0.55);
  const w = cell.w / rows.length;
  return rows.map((row, i) => ({ row, x: cell.x + i * w, y: top, w, h: cell.y + cell.h - top, part: true }));
}

/** The cell under a point: instances before their GPU. */
export function hit(cells, x, y) {
  for (let i = cells.length - 1; i >= 0; i--) {
    const cell = cells[i];
    if (x >= cell.x && x < cell.x + cell.w && y >= cell.y && y < cell.y + cell.h) return cell;
  }
  return null;
}

/** The innermost named group around a point: its label and its frame belong to it. */
export function groupAt(groups, x, y) {
  const inside = groups.filter((g) => g.name && x >= g.x && x < g.x + g.w && y >= g.y && y < g.y + g.h);
  return ["node", "rack", "site"].map((kind) => inside.find((group) => group.kind === kind)).find(Boolean) ?? null;
}

/** The nearest cell in a direction (dx, dy) from another, or that one. */
export function neighbour(cells, from, dx, dy) {
  const centre = (cell) => [cell.x + cell.w / 2, cell.y + cell.h / 2];
  const [x, y] = centre(from);
  let best = from;
  let least = Infinity;
  for (const cell of cells) {
    if (cell === from) continue;
    const [cx, cy] = centre(cell);
    const along = (cx - x) * dx + (cy - y) * dy;
    if (along <= 0.5) continue;
    const across = Math.abs((cx - x) * dy) + Math.abs((cy - y) * dx);
    const far = along + across * 4;
    if (far < least) (least = far), (best = cell);
  }
  return best;
}
