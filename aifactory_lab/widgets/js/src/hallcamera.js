// Where a camera must stand so that a box fills the picture. Pure: vectors are arrays [x, y, z], angles radians.

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => a.map((part) => part / Math.hypot(...a));
const move = (a, way, far) => a.map((part, axis) => part + way[axis] * far);

/** The eight corners of a box [x, y, z, x, y, z]. */
export function corners([x0, y0, z0, x1, y1, z1]) {
  return [x0, x1].flatMap((x) => [y0, y1].flatMap((y) => [z0, z1].map((z) => [x, y, z])));
}

/** {position, target} of a camera that looks along `way` and has a box in its picture, with some room around it. */
export function fit(box, way, { fov, aspect, room = 1.06 }) {
  const ahead = unit(way);
  const right = unit(Math.abs(ahead[2]) > 0.999 ? [1, 0, 0] : cross(ahead, [0, 0, 1]));
  const up = cross(right, ahead);
  const tall = Math.tan(fov / 2) / room;
  const points = corners(box);
  let target = [0, 1, 2].map((axis) => (box[axis] + box[axis + 3]) / 2);
  let far = 1;
  for (let round = 0; round < 6; round++) {
    const seen = points.map((point) => point.map((part, axis) => part - target[axis]));
    const sides = seen.map((point) => [dot(point, right), dot(point, up), dot(point, ahead)]);
    far = Math.max(...sides.map(([x, y, z]) => Math.max(Math.abs(x) / (tall * aspect), Math.abs(y) / tall) - z));
    const at = sides.map(([x, y, z]) => [x / (far + z), y / (far + z)]);
    const middle = (axis) => (Math.min(...at.map((one) => one[axis])) + Math.max(...at.map((one) => one[axis]))) / 2;
    target = move(move(target, right, middle(0) * far), up, middle(1) * far);
  }
  return { position: move(target, ahead, -far), target };
}

/** The presets: which box is looked at, along which way. */
export const WAYS = { hall: [0.42, 0.72, -0.78], top: [0, 0.0015, -1] };

/** Look at the front of a row, from above the aisle. `front` is 0 east, 1 north, 2 west, 3 south. */
export function rowWay(front) {
  const [x, y] = [[1, 0], [0, 1], [-1, 0], [0, -1]][front];
  return [-x - 0.28 * y, -y + 0.28 * x, -0.62];
}
