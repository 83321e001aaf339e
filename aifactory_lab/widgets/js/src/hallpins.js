// Signs above racks that are not up, as large from near as from far: a triangle for degraded, a cross for down.

import { BufferGeometry, CanvasTexture, Float32BufferAttribute, Group, Points, PointsMaterial } from "three";
import { DEGRADED, DOWN } from "./hallmodel.js";
import { sign } from "./hallsign.js";
import { LOST_COLOUR } from "./palette.js";

const SIGNS = [[DEGRADED, "#e69f00"], [DOWN, LOST_COLOUR]];

export class Pins {
  constructor() {
    this.signs = SIGNS.map(([state, colour]) => {
      const map = new CanvasTexture(drawn(state, colour));
      const material = new PointsMaterial({ map, sizeAttenuation: false, transparent: true, depthTest: false, depthWrite: false });
      const points = new Points(new BufferGeometry(), material);
      points.frustumCulled = false;
      points.renderOrder = 2;
      return { state, points };
    });
    this.object = new Group().add(...this.signs.map(({ points }) => points));
  }

  /** Put a sign above every rack that is not up. */
  update(hall, values) {
    const size = sizeOf(hall.count);
    for (const { state, points } of this.signs) {
      const at = [];
      for (let place = 0; place < hall.count; place++) {
        if (!hall.isCompute(place) || values.states[place] !== state) continue;
        const { x, y, h, z } = hall.box(place);
        at.push(x, y, z + h + 0.35);
      }
      points.geometry.dispose();
      points.geometry = new BufferGeometry().setAttribute("position", new Float32BufferAttribute(at, 3));
      points.visible = at.length > 0;
      points.material.size = size;
    }
  }
}

const sizeOf = (count) => (count > 2000 ? 9 : count > 200 ? 13 : 18);

/** A sign on a canvas of its own. */
function drawn(state, colour, size = 64) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const pen = canvas.getContext("2d");
  sign(pen, state, colour, size / 2, size / 2, size * 0.4);
  return canvas;
}
