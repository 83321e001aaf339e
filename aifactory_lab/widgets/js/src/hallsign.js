// The sign of a rack that is not up, drawn on a canvas: white around it, so that it shows on any colour.

import { DOWN } from "./hallmodel.js";

/** Draw a sign around a point. */
export function sign(pen, state, colour, x, y, reach) {
  pen.lineJoin = pen.lineCap = "round";
  const path = new Path2D();
  if (state === DOWN) {
    for (const way of [1, -1]) path.moveTo(x - reach * 0.8, y - way * reach * 0.8), path.lineTo(x + reach * 0.8, y + way * reach * 0.8);
    for (const [ink, width] of [["#ffffff", 0.95], [colour, 0.5]]) {
      pen.strokeStyle = ink;
      pen.lineWidth = reach * width;
      pen.stroke(path);
    }
    return;
  }
  path.moveTo(x, y - reach * 0.8);
  path.lineTo(x + reach * 0.9, y + reach * 0.75);
  path.lineTo(x - reach * 0.9, y + reach * 0.75);
  path.closePath();
  pen.strokeStyle = "#ffffff";
  pen.lineWidth = reach * 0.5;
  pen.stroke(path);
  pen.fillStyle = colour;
  pen.fill(path);
  pen.fillStyle = "#14181e";
  pen.fillRect(x - reach * 0.1, y - reach * 0.3, reach * 0.2, reach * 0.55);
  pen.fillRect(x - reach * 0.1, y + reach * 0.4, reach * 0.2, reach * 0.2);
}
