// Signs above racks, as large from near as from far: a triangle for degraded, a cross for down, an arrow for picked.

import { BufferGeometry, CanvasTexture, Float32BufferAttribute, Group, Points, PointsMaterial } from "three";
import { DEGRADED, DOWN } from "./hallmodel.js";
import { sign } from "./hallsign.js";
import { LOST_COLOUR } from "./palette.js";

const ABOVE = 0.05; // metres above a rack: a view from the top begins not much higher
const SIGNS = [[DEGRADED, "#e69f00"], [DOWN, LOST_COLOUR]];

export class Pins {
  constructor() {
    this.signs = SIGNS.map(([state, colour]) => ({ state, points: pin((pen, size) => sign(pen, state, colour, size / 2, size / 2, size * 0.4)) }));
    this.object = new Group().add(...this.signs.map(({ points }) => points));
  }

  /** Put a sign above every rack that is not up. */
  update(hall, values) {
    this.size = sizeOf(hall.count);
    for (const { state, points } of this.signs) {
      const places = [...Array(hall.count).keys()].filter((place) => hall.isCompute(place) && values.states[place] === state);
      put(points, hall, places, this.size);
    }
  }

  /** Whether what stands before a rack hides its sign: in the view of a row, the signs of others would stand over it. */
  hide(behind) {
    for (const { points } of this.signs) points.material.depthTest = behind;
  }

  /** Point at the picked box, -1 for none. */
  pick(hall, place) {
    put(this.arrow, hall, place >= 0 ? [place] : [], 44);
  }

  /** The colour of what points at the picked box. */
  ink(colour) {
    const before = this.arrow?.geometry;
    if (this.arrow) this.object.remove(this.arrow);
    this.arrow?.material.map.dispose();
    this.arrow = pin((pen, size) => arrow(pen, colour, size));
    if (before) this.arrow.geometry = before;
    this.arrow.visible = Boolean(before?.getAttribute("position")?.count);
    this.object.add(this.arrow);
  }
}

function pin(draw) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  draw(canvas.getContext("2d"), 64);
  const map = new CanvasTexture(canvas);
  const points = new Points(new BufferGeometry(), new PointsMaterial({ map, size: 20, sizeAttenuation: false, transparent: true, depthTest: false, depthWrite: false }));
  points.frustumCulled = false;
  points.renderOrder = 2;
  return points;
}

function put(points, hall, places, size) {
  const at = places.flatMap((place) => {
    const { x, y, h, z } = hall.box(place);
    return [x, y, z + h + ABOVE];
  });
  points.geometry.dispose();
  points.geometry = new BufferGeometry().setAttribute("position", new Float32BufferAttribute(at, 3));
  points.visible = places.length > 0;
  points.material.size = size;
}

/** Its tip in the middle, where the rack is. */
function arrow(pen, colour, size) {
  const path = new Path2D();
  path.moveTo(size * 0.5, size * 0.44);
  path.lineTo(size * 0.7, size * 0.06);
  path.lineTo(size * 0.3, size * 0.06);
  path.closePath();
  pen.lineJoin = "round";
  pen.strokeStyle = "#ffffff";
  pen.lineWidth = size * 0.06;
  pen.stroke(path);
  pen.fillStyle = colour;
  pen.fill(path);
}

const sizeOf = (count) => (count > 2000 ? 9 : count > 200 ? 13 : 18);
