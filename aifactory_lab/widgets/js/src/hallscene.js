// The hall in WebGL: one draw call for all boxes, one for each system of lines. Drawn only when asked to.

import {
  Color, ColorManagement, DirectionalLight, Group, HemisphereLight, LinearSRGBColorSpace, PerspectiveCamera, Raycaster,
  Scene, Vector2, Vector3, WebGLRenderer,
} from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { fit, rowWay, WAYS } from "./hallcamera.js";
import { lookOf } from "./hallmodel.js";
import { boxes, floor, labels, pieces } from "./hallparts.js";
import { Pins } from "./hallpins.js";
import { isSoftware, plain } from "./hallprobe.js";
import { SYSTEMS } from "./hallsystems.js";

ColorManagement.enabled = false; // the colours of the legend, not their linear light
const FOV = 30; // degrees, from the bottom to the top of the picture
const FAR = 45; // metres from which hoses and cables are not seen
const NEAREST = 0.3; // metres before the eye
const AISLE = 0.9; // metres before a row that are seen with it
const TURNED = 0.05; // radians after which a section is left
const STEEPEST = 0.02; // radians from straight above, where a camera would not know which way is up
const FRAME_MS = 40; // a picture that takes longer is drawn coarser while it moves

export class HallScene {
  /** changed: called when the camera moved. Throws where there is no WebGL. */
  constructor(host, changed) {
    this.slow = isSoftware();
    this.canvas = document.createElement("canvas");
    this.renderer = new WebGLRenderer({ canvas: this.canvas, antialias: !this.slow, powerPreference: "low-power" });
    this.renderer.outputColorSpace = LinearSRGBColorSpace;
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(FOV, 1);
    this.camera.up.set(0, 0, 1);
    this.things = new Group();
    this.light = new HemisphereLight("#ffffff", "#8d949e", 2.1);
    this.light.position.set(0, 0, 1);
    const sun = new DirectionalLight("#ffffff", 1.1);
    sun.position.set(-3, -6, 8);
    this.scene.add(this.light, sun, this.things);
    this.ray = new Raycaster();
    this.controls = new OrbitControls(this.camera, this.canvas);
    Object.assign(this.controls, { maxPolarAngle: Math.PI / 2 - 0.04, zoomToCursor: true });
    this.controls.addEventListener("change", changed);
    this.controls.addEventListener("start", () => {
      this.moving = this.touched = true;
    });
    this.controls.addEventListener("end", () => {
      this.moving = false;
      changed();
    });
    // the wheel scrolls the page, as everywhere in a notebook; with Ctrl it zooms
    this.canvas.addEventListener("wheel", (event) => (this.controls.enableZoom = event.ctrlKey || event.metaKey), { capture: true, passive: true });
    host.append(this.canvas);
    this.hidden = new Set();
    this.ratio = Math.min(this.slow ? 1 : 2, window.devicePixelRatio || 1);
  }

  /** Take a hall: everything that stands in it is made anew. */
  show(hall) {
    this.#clear();
    this.hall = hall;
    this.boxes = boxes(hall);
    this.marks = this.boxes.geometry.getAttribute("mark");
    this.lines = hall.systems.flatMap((system) => [false, true].map((drop) => ({ system, drop, mesh: pieces(hall, system, drop) })));
    this.floor = floor(hall);
    this.labels = labels(hall);
    this.pins = new Pins();
    this.framed = null;
    this.things.add(this.floor, this.boxes, ...this.lines.map(({ mesh }) => mesh), ...this.labels, this.pins.object);
    this.#limits();
    this.preset("hall", -1);
  }

  /** Colour all boxes: two numbers a box, and no geometry is touched. */
  recolour(values, name) {
    const { hall, marks } = this;
    for (let place = 0; place < hall.names.length; place++) {
      marks.array[4 * place] = hall.isRack(place) ? values.share(name, place) : 0;
      marks.array[4 * place + 1] = lookOf(hall, values, name, place);
    }
    marks.needsUpdate = true;
    this.pins.update(hall, values);
  }

  /** Take the colours of a theme. */
  theme(inks, dark) {
    this.renderer.setClearColor(new Color(plain(inks.ground)), 1);
    const { uniforms } = this.boxes.material;
    uniforms.ground.value.set(plain(inks.ground));
    uniforms.hatch.value.set(inks.hatch);
    uniforms.hatchGround.value.set(inks.hatchGround);
    uniforms.metal.value.set(dark ? "#5b646f" : "#c9d0d8");
    uniforms.cdu.value.set(dark ? "#3f7ea6" : "#7db8dc");
    this.floor.children[0].material.color.set(inks.card);
    this.floor.children[1].material.color.set(inks.line);
    for (const label of this.labels) label.userData.ink(inks.muted, inks.font);
    uniforms.ink.value.set(inks.ink);
    this.pins.ink(inks.accent);
    for (const { system, mesh } of this.lines) mesh.material.color.set(SYSTEMS[system]?.[dark ? "dark" : "light"] ?? inks.faint);
  }

  /** Show or hide a system of lines. */
  toggle(system, visible) {
    this.hidden[visible ? "delete" : "add"](system);
  }

  resize(width, height) {
    if (this.width === width && this.height === height) return;
    Object.assign(this, { width, height });
    this.renderer.setPixelRatio(this.ratio);
    this.renderer.setSize(width, height);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    if (this.hall && !this.touched) this.preset(this.named ?? "hall", this.about ?? -1);
  }

  /**
   * Look at the whole hall, from above, or at the row of a rack. A row is seen as in a section, without what stands in
   * front of it, and the hall from above without what hangs over its racks: until the view is turned.
   */
  preset(named, about) {
    Object.assign(this, { named, about, touched: false });
    const { hall } = this;
    const place = Math.max(0, about);
    const row = named === "row";
    const [x0, y0, x1, y1] = row ? hall.around(hall.rowOfRack(place)) : hall.extent;
    const box = [x0, y0, 0, x1, y1, named === "hall" ? hall.tops.lines : hall.tops.boxes];
    const way = row ? rowWay(hall.fronts[place]) : WAYS[named];
    const { position, target } = fit(box, way, { fov: (FOV * Math.PI) / 180, aspect: this.camera.aspect });
    this.controls.target.set(...target);
    this.camera.position.set(...position);
    this.controls.update();
    const depth = row ? Math.min(x1 - x0, y1 - y0) / 2 + AISLE : hall.tops.boxes - target[2] + 0.1;
    this.pins.hide(row);
    this.section = named === "hall" ? null : { depth, way: this.#way() };
  }

  #way() {
    return this.camera.getWorldDirection(new Vector3());
  }

  /** Hide what was sent away, and hoses and cables from where they are thinner than a pixel. */
  #hide() {
    const near = this.camera.position.distanceTo(this.controls.target) < FAR;
    for (const { system, drop, mesh } of this.lines) mesh.visible = !this.hidden.has(system) && (near || !drop);
  }

  /** Begin to see where a section is cut, or right before the eye. */
  #cut() {
    if (this.section && this.section.way.angleTo(this.#way()) > TURNED) this.section = null;
    const far = this.camera.position.distanceTo(this.controls.target);
    const near = this.section ? Math.max(NEAREST, far - this.section.depth) : NEAREST;
    if (this.camera.near === near) return;
    this.camera.near = near;
    this.camera.updateProjectionMatrix();
  }

  zoom(factor) {
    this.touched = true;
    const { target } = this.controls;
    this.camera.position.sub(target).multiplyScalar(factor).add(target);
    this.controls.update();
  }

  /** Turn around what is looked at, and rise above it, by angles in radians. */
  turn(around, above) {
    this.touched = true;
    const { target, maxPolarAngle } = this.controls;
    const [x, y, z] = this.camera.position.clone().sub(target).toArray();
    const flat = Math.hypot(x, y);
    const far = Math.hypot(flat, z);
    const angle = Math.atan2(y, x) + around;
    const polar = Math.min(maxPolarAngle, Math.max(STEEPEST, Math.atan2(flat, z) - above));
    this.camera.position.set(Math.cos(angle) * Math.sin(polar), Math.sin(angle) * Math.sin(polar), Math.cos(polar)).multiplyScalar(far).add(target);
    this.controls.update();
  }

  /** Frame boxes; -1 for none. */
  mark(selected, hovered) {
    if (this.framed?.[0] === selected && this.framed[1] === hovered) return;
    for (const place of this.framed ?? []) if (place >= 0) this.marks.array[4 * place + 3] = 0;
    [hovered, selected].forEach((place, how) => place >= 0 && (this.marks.array[4 * place + 3] = how + 1));
    this.framed = [selected, hovered];
    this.marks.needsUpdate = true;
    this.pins.pick(this.hall, selected);
  }

  /** The box at a point of the canvas in CSS pixels, -1 if there is none. */
  at(x, y) {
    this.ray.setFromCamera(new Vector2((x / this.width) * 2 - 1, 1 - (y / this.height) * 2), this.camera);
    return this.hall.hit(this.ray.ray.origin.toArray(), this.ray.ray.direction.toArray());
  }

  /** Where the top of a box is on the canvas. */
  where(place) {
    const { x, y, h, z } = this.hall.box(place);
    const on = new Vector3(x, y, z + h).project(this.camera);
    return { x: ((on.x + 1) / 2) * this.width, y: ((1 - on.y) / 2) * this.height };
  }

  render() {
    const begun = performance.now();
    this.#cut();
    this.#hide();
    const coarse = this.moving && this.slow;
    const ratio = coarse ? Math.min(0.6, this.ratio) : this.ratio;
    if (this.renderer.getPixelRatio() !== ratio) this.renderer.setPixelRatio(ratio);
    this.renderer.render(this.scene, this.camera);
    if (!this.moving) this.last = undefined;
    else {
      if (this.last !== undefined && begun - this.last > FRAME_MS) this.slow = true;
      this.last = begun;
    }
  }

  #limits() {
    const [x0, y0, x1, y1] = this.hall.extent;
    const size = Math.hypot(x1 - x0, y1 - y0);
    this.camera.far = 12 * size + 50;
    Object.assign(this.controls, { minDistance: 2, maxDistance: 6 * size + 20 });
    this.camera.updateProjectionMatrix();
  }

  #clear() {
    this.things.traverse((one) => {
      one.geometry?.dispose();
      one.material?.map?.dispose();
      one.material?.uniforms?.ramp?.value.dispose();
      one.material?.dispose?.();
      one.dispose?.();
    });
    this.things.clear();
  }

  dispose() {
    this.#clear();
    this.controls.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
    this.canvas.remove();
  }
}
