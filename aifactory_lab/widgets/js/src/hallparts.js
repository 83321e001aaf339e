// The things of a hall as three.js objects: boxes, lines, floor, names of rows, outlines.

import {
  BoxGeometry, BufferGeometry, CanvasTexture, Color, CylinderGeometry, DataTexture, Float32BufferAttribute,
  Group, InstancedBufferAttribute, InstancedMesh, LineBasicMaterial, LineSegments, Matrix4, Mesh, MeshBasicMaterial,
  MeshLambertMaterial, PlaneGeometry, Quaternion, RGBAFormat, ShaderMaterial, Vector3,
} from "three";
import { FRAGMENT, VERTEX } from "./hallshader.js";
import { isTray } from "./hallsystems.js";
import { LOST_COLOUR, RAMP } from "./palette.js";

const MOST_LABELS = 80;
const THIN = 0.035; // the least width of a line in metres
const ROUND = 6; // sides of a pipe
const MANY = 6000; // pieces beyond which a pipe has four sides

/** Racks and coolers: one mesh whose attribute `mark` says how each is painted. */
export function boxes(hall) {
  const count = hall.names.length;
  const mesh = new InstancedMesh(new BoxGeometry(1, 1, 1), paint(), count);
  const marks = new Float32Array(4 * count);
  const matrix = new Matrix4();
  const [place, size, still] = [new Vector3(), new Vector3(), new Quaternion()];
  for (let i = 0; i < count; i++) {
    const { x, y, w, d, h, z } = hall.box(i);
    mesh.setMatrixAt(i, matrix.compose(place.set(x, y, z + h / 2), still, size.set(w, d, h)));
    marks[4 * i + 2] = hall.fronts[i];
  }
  mesh.geometry.setAttribute("mark", new InstancedBufferAttribute(marks, 4));
  mesh.frustumCulled = false;
  return mesh;
}

function paint() {
  const texels = new Uint8Array(RAMP.flatMap(([r, g, b]) => [r, g, b, 255]));
  const ramp = new DataTexture(texels, RAMP.length, 1, RGBAFormat);
  ramp.needsUpdate = true;
  const colours = { ground: "#fff", hatch: "#999", hatchGround: "#eee", metal: "#ccc", cdu: "#7db8dc", bad: LOST_COLOUR, warn: "#e69f00", dark: "#14181e", ink: "#000" };
  const uniforms = { ramp: { value: ramp } };
  for (const [name, colour] of Object.entries(colours)) uniforms[name] = { value: new Color(colour) };
  return new ShaderMaterial({ vertexShader: VERTEX, fragmentShader: FRAGMENT, uniforms });
}

/** The pieces of a system, overhead or coming down, as one mesh: pipes round, trays flat. */
export function pieces(hall, system, drop) {
  const found = hall.pieces(system, drop);
  const tray = isTray(system);
  const geometry = tray ? new BoxGeometry(1, 1, 1) : new CylinderGeometry(0.5, 0.5, 1, found.length > MANY ? 4 : ROUND, 1, true);
  const material = new MeshLambertMaterial(tray ? { transparent: true, opacity: 0.32, depthWrite: false } : {});
  const mesh = new InstancedMesh(geometry, material, Math.max(1, found.length));
  mesh.count = found.length;
  const [a, b, size, way] = [new Vector3(), new Vector3(), new Vector3(), new Vector3()];
  const [turn, matrix, along] = [new Quaternion(), new Matrix4(), new Vector3(0, 1, 0)];
  found.forEach(([x0, y0, z0, x1, y1, z1, wide], i) => {
    const far = a.set(x0, y0, z0).distanceTo(b.set(x1, y1, z1));
    const width = Math.max(THIN, wide);
    turn.setFromUnitVectors(along, way.subVectors(b, a).normalize());
    const upright = Math.abs(way.z) > 0.9;
    size.set(width, far + (upright ? 0 : width), tray ? (upright ? width : 0.06) : width);
    mesh.setMatrixAt(i, matrix.compose(a.add(b).multiplyScalar(0.5), turn, size));
  });
  mesh.frustumCulled = false;
  return mesh;
}

/** The floor with a line every two metres, or more of them where the hall is long. */
export function floor(hall) {
  const [x0, y0, x1, y1] = hall.extent;
  const step = [2, 5, 10, 20, 50, 100].find((one) => Math.max(x1 - x0, y1 - y0) / one <= 40) ?? 200;
  const plane = new Mesh(new PlaneGeometry(x1 - x0, y1 - y0), new MeshBasicMaterial());
  plane.position.set((x0 + x1) / 2, (y0 + y1) / 2, -0.01);
  const ends = [x0, y0, x1, y0, x1, y0, x1, y1, x1, y1, x0, y1, x0, y1, x0, y0];
  for (let x = x0 + step; x < x1; x += step) ends.push(x, y0, x, y1);
  for (let y = y0 + step; y < y1; y += step) ends.push(x0, y, x1, y);
  const points = ends.flatMap((part, i) => (i % 2 ? [part, 0] : [part]));
  const grid = new LineSegments(new BufferGeometry().setAttribute("position", new Float32BufferAttribute(points, 3)), new LineBasicMaterial());
  return new Group().add(plane, grid);
}

/** The name of each row on the floor before its first rack; none where there are very many. */
export function labels(hall) {
  if (hall.rowNames.length > MOST_LABELS) return [];
  return hall.rowNames.map((name, row) => {
    const racks = [...hall.rows.keys()].filter((place) => hall.rows[place] === row);
    const { x, y } = hall.box(racks[0]);
    const front = hall.fronts[racks[0]];
    const [east, north] = [[1, 0], [0, 1], [-1, 0], [0, -1]][front];
    const { w, d } = hall.box(racks[0]);
    const label = lettered(`row ${name}`);
    label.position.set(x + east * (w / 2 + 0.45), y + north * (d / 2 + 0.45), 0.01);
    return label;
  });
}

function lettered(text) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [192, 64];
  const map = new CanvasTexture(canvas);
  map.anisotropy = 4;
  const mesh = new Mesh(new PlaneGeometry(1.5, 0.5), new MeshBasicMaterial({ map, transparent: true, depthWrite: false }));
  mesh.userData.ink = (colour, font) => {
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, 192, 64);
    pen.font = `600 44px ${font}`;
    pen.fillStyle = colour;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(text, 96, 33);
    map.needsUpdate = true;
  };
  return mesh;
}
