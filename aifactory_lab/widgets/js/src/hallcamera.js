// Where a camera must stand so that a box fills the picture. Pure: vectors are arrays [x, y, z], angles radians.

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => a.map((part) => part / Math.hypot(...a));
const move = (a, way, far) => a.map((part, axis) => part + way[axis] * far);

/** The eight corners of a box [x, y, z, x, y, z]. */
export function corners([x0, y0, z0, x1, y1, z1]) {
  return [x0, x1].flatMap((x) => [y0, y1].flatMap((y) => [z0, z1].map((z) => [x, y, z])));
}

/**
 * {position, target} of a camera that looks along `way`, as near as it can be with all of a box in its picture.
 *
 * A point at x beside and z before the eye is in the picture if |x - eye x| <= (z - eye z) tan: of all corners, those
 * with the least x + z tan and the most x - z tan bind.
 */
export function fit(box, way, { fov, aspect, room = 1.06 }) {
  const ahead = unit(way);
  const right = unit(Math.abs(ahead[2]) > 0.999999 ? [1, 0, 0] : cross(ahead, [0, 0, 1]));
  const up = cross(right, ahead);
  const tall = Math.tan(fov / 2) / room;
  const points = corners(box);
  const depths = points.map((point) => dot(point, ahead));
  const sides = [[right, tall * aspect], [up, tall]].map(([side, tan]) => {
    const least = Math.min(...points.map((point, i) => dot(point, side) + depths[i] * tan));
    const most = Math.max(...points.map((point, i) => dot(point, side) - depths[i] * tan));
    return { at: (least + most) / 2, depth: (least - most) / (2 * tan) };
  });
  const depth = Math.min(...sides.map((side) => side.depth));
  const position = move(move(move([0, 0, 0], right, sides[0].at), up, sides[1].at), ahead, depth);
  const middle = (Math.min(...depths) + Math.max(...depths)) / 2;
  return { position, target: move(position, ahead, middle - depth) };
}

/** The presets: along which way the hall is looked at. */
export const WAYS = { hall: [0.42, 0.72, -0.78], top: [0, 0.0015, -1] };

/** Along which way the front of a row is looked at. `front` is 0 east, 1 north, 2 west, 3 south. */
export function rowWay(front) {
  const [x, y] = [[1, 0], [0, 1], [-1, 0], [0, -1]][front];
  return [-x, -y, -0.2];
}
