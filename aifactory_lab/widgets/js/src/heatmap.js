// Draw the cells of a plan on a canvas: value by colour, and every state as itself.

import { colour, inkOn, LOST_COLOUR } from "./palette.js";
import { parts, say } from "./words.js";
import { LOST, STALE, UNSUPPORTED } from "./wire.js";

/** Make a canvas as sharp as the screen and return its context in CSS pixels. */
export function sharpen(canvas, width, height) {
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** Draw everything: frames and labels of groups, cells, marks of what is picked. */
export function draw(context, scene) {
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const pattern = hatch(context, scene.inks);
  for (const group of scene.plan.groups) drawGroup(context, scene, group);
  for (const cell of scene.plan.cells) drawCell(context, scene, cell, pattern);
  for (const cell of scene.plan.cells) drawMarks(context, scene, cell);
}

let patterns = new Map();
function hatch(context, inks) {
  const key = inks.hatch + inks.hatchGround + context.getTransform().a;
  if (!patterns.has(key)) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const pen = tile.getContext("2d");
    pen.fillStyle = inks.hatchGround;
    pen.fillRect(0, 0, 8, 8);
    pen.strokeStyle = inks.hatch;
    pen.lineWidth = 1.6;
    for (const shift of [-8, 0, 8]) {
      pen.beginPath();
      pen.moveTo(shift - 2, 10);
      pen.lineTo(shift + 10, -2);
      pen.stroke();
    }
    patterns = new Map([[key, context.createPattern(tile, "repeat")]]);
  }
  return patterns.get(key);
}

function drawGroup(context, { inks, feed, sample, column }, group) {
  if (group.framed) {
    box(context, group.x + 0.5, group.y + 0.5, group.w - 1, group.h - 1, 6);
    context.fillStyle = inks.card;
    context.fill();
    context.strokeStyle = inks.line;
    context.lineWidth = 1;
    context.stroke();
  }
  if (!group.label) return;
  const inset = group.kind === "rack" ? 7 : 0;
  const [y, size] = { site: [group.y + 8, 13], rack: [group.y + 13, 12], node: [group.y + 7, 11] }[group.kind];
  const { mean } = feed.sums(sample, column, group.rows);
  const number = Number.isNaN(mean) ? "–" : say(mean, feed.metrics[column].unit);
  context.font = `${group.kind === "node" ? 500 : 600} ${size}px ${inks.font}`;
  label(context, inks, group.name, number, group.x + inset, y, group.w - 2 * inset);
}

/** A name at the left and, where there is room, the mean at the right. */
function label(context, inks, name, number, x, y, room) {
  const numberWidth = context.measureText(number).width;
  const both = context.measureText(name).width + numberWidth + 10 <= room;
  context.textAlign = "left";
  context.fillStyle = inks.muted;
  context.fillText(shorten(context, name, both ? room - numberWidth - 10 : room), x, y);
  if (!both) return;
  context.textAlign = "right";
  context.fillStyle = inks.ink;
  context.fillText(number, x + room, y);
}

/** The text that fits, its end kept, for the numbers of racks and nodes stand there. */
export function shorten(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  for (let cut = 1; cut < text.length; cut++) {
    const shorter = `…${text.slice(cut)}`;
    if (context.measureText(shorter).width <= room) return shorter;
  }
  return "";
}

function drawCell(context, scene, cell, pattern) {
  const { feed, sample, column, top, inks } = scene;
  const radius = cell.part ? 0 : scene.plan.size >= 40 ? 6 : scene.plan.size >= 24 ? 2 : 0;
  const value = feed.value(sample, cell.row, column);
  const share = value / top;
  context.globalAlpha = scene.stale ? 0.35 : 1;
  if (!radius && !cell.part && !scene.plan.card && !Number.isNaN(value)) {
    context.fillStyle = colour(share);
    context.fillRect(cell.x, cell.y, cell.w, cell.h); // a path for each of a thousand cells would cost milliseconds
    context.globalAlpha = 1;
    return;
  }
  if (radius) box(context, cell.x, cell.y, cell.w, cell.h, radius);
  else context.beginPath(), context.rect(cell.x, cell.y, cell.w, cell.h);
  if (!Number.isNaN(value)) {
    context.fillStyle = colour(share);
    context.fill();
  } else drawState(context, scene, cell, pattern, feed.state(sample, cell.row, column));
  if (cell.part) {
    context.strokeStyle = inks.ground;
    context.lineWidth = scene.plan.size >= 20 ? 2 : 1;
    context.strokeRect(cell.x, cell.y, cell.w, cell.h);
  } else if (scene.plan.card) words(context, scene, cell, value, share);
  context.globalAlpha = 1;
}

function drawState(context, { inks, plan }, cell, pattern, state) {
  if (state === LOST) {
    context.fillStyle = inks.ground;
    context.fill();
    const inset = Math.min(1, cell.w / 8);
    context.strokeStyle = LOST_COLOUR;
    context.lineWidth = plan.size >= 40 ? 2 : plan.size >= 8 ? 1.5 : 1;
    if (plan.size >= 5) context.strokeRect(cell.x + inset, cell.y + inset, cell.w - 2 * inset, cell.h - 2 * inset);
    const far = Math.min(cell.h * 0.28, 10);
    const [x, y] = plan.card ? [cell.x + cell.w - 16, cell.y + 16] : [cell.x + cell.w / 2, cell.y + cell.h / 2];
    const reach = plan.card ? 6 : plan.size >= 5 ? far : cell.h / 2;
    context.beginPath();
    for (const way of [1, -1]) context.moveTo(x - reach, y - way * reach), context.lineTo(x + reach, y + way * reach);
    context.stroke();
    return;
  }
  context.fillStyle = state === UNSUPPORTED ? pattern : inks.hatchGround;
  context.fill();
  if (state !== STALE) return;
  context.strokeStyle = inks.faint;
  context.lineWidth = 1;
  context.setLineDash([2, 2]);
  context.stroke();
  context.setLineDash([]);
}

/** On a card: its name above, its number below. */
function words(context, scene, cell, value, share) {
  const { feed, sample, column, inks } = scene;
  const entity = feed.entities[cell.row];
  const state = feed.state(sample, cell.row, column);
  const ink = Number.isNaN(value) || scene.stale ? inks.ink : inkOn(share);
  const room = cell.w - 16;
  const high = cell.instances ? cell.h * 0.55 : cell.h;
  context.textAlign = "left";
  context.fillStyle = ink;
  context.font = `500 11px ${inks.font}`;
  const strong = scene.stale ? 0.6 : 1;
  context.globalAlpha = strong * 0.85;
  const oneLine = high < 36;
  context.fillText(shorten(context, entity.path.at(-1), room), cell.x + 8, cell.y + (oneLine ? high / 2 : high * 0.3));
  context.globalAlpha = strong;
  const large = oneLine ? 12 : cell.h >= 56 ? 17 : 14;
  context.font = `600 ${large}px ${inks.font}`;
  const unit = feed.metrics[column].unit;
  let text = Number.isNaN(value) ? ["", "n/a", "lost", "stale"][state] : parts(value, unit).filter(Boolean).join("\u202f");
  if (context.measureText(text).width > room && !Number.isNaN(value)) text = parts(value, unit)[0];
  if (oneLine) {
    context.textAlign = "right";
    if (room > 70) context.fillText(text, cell.x + cell.w - 8, cell.y + high / 2);
  } else context.fillText(text, cell.x + 8, cell.y + high * 0.68);
}

function drawMarks(context, { picked, active, focused, inks, plan }, cell) {
  const outline = (stroke, width, out) => {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    box(context, cell.x - out, cell.y - out, cell.w + 2 * out, cell.h + 2 * out, plan.card ? 7 : 2);
    context.stroke();
  };
  const mark = picked.get(cell.row);
  if (mark) outline(inks.ground, 4, 1), outline(mark, 2.5, 1);
  if (cell.row === active && focused) outline(inks.ground, 5, 2), outline(inks.ink, 2, 2);
}

function box(context, x, y, w, h, radius) {
  context.beginPath();
  context.roundRect(x, y, w, h, Math.min(radius, w / 2, h / 2));
}
