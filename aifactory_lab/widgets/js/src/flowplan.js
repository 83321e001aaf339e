// Where the stations of the factory stand: in a row, folded into rows, or below each other. Pure.

const GAP = 30;
const LEAST = 148;

/** {columns, width, height, boxes: [{x, y, w, h}], arrows: [path data], wide} for a number of stations. */
export function flowPlan(count, width) {
  const fit = Math.floor((width + GAP) / (LEAST + GAP));
  const wide = fit < 3;
  const columns = wide ? 1 : Math.min(count, fit >= count ? count : Math.ceil(count / Math.ceil(count / fit)));
  const h = wide ? 92 : 138;
  const down = wide ? 24 : 40;
  const w = Math.min(wide ? width : 240, (width - (columns - 1) * GAP) / columns);
  const step = columns > 1 ? (width - columns * w) / (columns - 1) + w : 0;
  const boxes = Array.from({ length: count }, (_, i) => ({
    x: (i % columns) * step, y: 12 + Math.floor(i / columns) * (h + down), w, h,
  }));
  const arrows = boxes.slice(1).map((to, i) => arrow(boxes[i], to, down));
  return { columns, wide, width, height: boxes.length ? boxes.at(-1).y + h + 8 : 0, boxes, arrows };
}

/** To the right, straight down, or around the end of a row to the start of the next. */
function arrow(from, to, down) {
  const middle = from.y + from.h / 2;
  if (to.y === from.y) return `M${from.x + from.w + 3},${middle}H${to.x - 8}`;
  if (to.x === from.x) return `M${from.x + from.w / 2},${from.y + from.h + 2}V${to.y - 8}`;
  const turn = from.y + from.h + down / 2 - 3;
  return `M${from.x + from.w / 2},${from.y + from.h + 2}V${turn}H${to.x + to.w / 2}V${to.y - 8}`;
}
