// How a box of the hall is painted: its top has exactly the colour of the legend, its sides are shaded, its state is a
// frame, a cross or a hatch. One draw call paints all boxes; a new value is one number a box.

export const VERTEX = `
attribute vec4 mark; // place on the scale, look, front, whether hovered (1) or picked (2)
varying vec3 vAt;
varying vec3 vSize;
varying vec3 vNormal;
varying vec4 vMark;
void main() {
  vSize = vec3(instanceMatrix[0][0], instanceMatrix[1][1], instanceMatrix[2][2]);
  vAt = (position + 0.5) * vSize;
  vNormal = normal;
  vMark = mark;
  gl_Position = projectionMatrix * modelViewMatrix * instanceMatrix * vec4(position, 1.0);
}`;

export const FRAGMENT = `
uniform sampler2D ramp;
uniform vec3 ground, hatch, hatchGround, metal, cdu, bad, warn, dark, ink;
varying vec3 vAt;
varying vec3 vSize;
varying vec3 vNormal;
varying vec4 vMark;

float band(float x, float width) { // 1 within the width of a line around 0, softened to the size of a pixel
  float soft = max(fwidth(x), 1e-5);
  return 1.0 - smoothstep(width - soft, width + soft, abs(x));
}
float seen(vec2 at, float size) { // fades what is smaller than a pixel or two
  return 1.0 - smoothstep(0.35, 1.0, max(fwidth(at.x), fwidth(at.y)) / size);
}
float lines(float x, float period, float width) {
  return band((fract(x / period) - 0.5) * period, width);
}

void main() {
  vec3 n = abs(vNormal);
  bool top = n.z > 0.5;
  vec2 at = top ? vAt.xy : vec2(n.x > 0.5 ? vAt.y : vAt.x, vAt.z);
  vec2 size = top ? vSize.xy : vec2(n.x > 0.5 ? vSize.y : vSize.x, vSize.z);
  vec2 way = vec2(vMark.z < 0.5 ? 1.0 : vMark.z > 1.5 && vMark.z < 2.5 ? -1.0 : 0.0, vMark.z > 0.5 && vMark.z < 1.5 ? 1.0 : vMark.z > 2.5 ? -1.0 : 0.0);
  bool front = dot(vNormal.xy, way) > 0.5;
  float shade = top ? 1.0 : n.x > 0.5 ? 0.80 : 0.68;
  float look = vMark.y;
  float rim = min(min(at.x, size.x - at.x), min(at.y, size.y - at.y));

  vec3 colour = look < 1.5 ? texture2D(ramp, vec2(clamp(vMark.x, 0.0, 1.0) * 255.0 / 256.0 + 0.5 / 256.0, 0.5)).rgb : metal;
  if (look < 1.5) {
    if (front) {
      float rack = lines(at.y, 0.18, 0.018) * step(0.08, rim) * seen(at, 0.09);
      colour *= 1.0 - 0.30 * rack;
    }
    if (look > 0.5) {
      float stripes = step(0.5, fract((at.x + at.y) / 0.28));
      vec3 hazard = mix(warn, dark, stripes * seen(at, 0.14));
      colour = mix(colour, hazard, 1.0 - smoothstep(0.0, max(fwidth(rim), 1e-5), rim - 0.13));
    }
  } else if (look < 2.5) {
    vec2 unit = at / size;
    float cross = min(abs(unit.x - unit.y), abs(unit.x + unit.y - 1.0)) * min(size.x, size.y);
    colour = mix(ground, bad, max(band(cross, 0.055), 1.0 - smoothstep(0.0, max(fwidth(rim), 1e-5), rim - 0.08)));
    colour = mix(mix(ground, bad, 0.5), colour, max(seen(at, 0.35), 0.25));
  } else if (look < 3.5) {
    float stripe = lines(at.x + at.y, 0.22, 0.035);
    colour = mix(hatchGround, hatch, mix(0.3, stripe, seen(at, 0.2)));
  } else if (look < 4.5) {
    colour = metal;
    if (front) colour = mix(colour, dark, 0.75 * lines(at.y, 0.1, 0.022) * step(0.09, rim) * seen(at, 0.06));
  } else if (look < 5.5) {
    colour = cdu;
    float stripe = front ? band(at.y - size.y * 0.62, 0.05) + band(at.y - size.y * 0.5, 0.05) : 0.0;
    colour = mix(colour, vec3(1.0), 0.55 * stripe * step(0.1, rim) * seen(at, 0.1));
  } else if (look < 6.5) {
    float wide = min(size.x, size.y);
    float along = size.x > size.y ? at.x : at.y;
    float across = size.x > size.y ? at.y - size.y * 0.5 : at.x - size.x * 0.5;
    float each = max(size.x, size.y) / max(1.0, floor(max(size.x, size.y) / wide + 0.5));
    float away = length(vec2(mod(along, each) - each * 0.5, across)) / wide;
    float fan = (top || front) ? 1.0 - smoothstep(0.0, max(fwidth(away), 1e-5), away - 0.36) : 0.0;
    float blades = step(0.5, fract(atan(across, mod(along, each) - each * 0.5) * 0.9549)) * step(0.09, away);
    colour = mix(colour, mix(dark, colour, 0.35 + 0.25 * blades), fan * max(seen(at, 0.3), 0.4));
  }
  float edge = 1.0 - smoothstep(0.0, max(fwidth(rim), 1e-5), rim - 0.022);
  colour = mix(colour, dark, 0.5 * edge * seen(at, 0.22));
  colour *= look > 1.5 && look < 2.5 ? mix(1.0, shade, 0.4) : shade;
  if (vMark.w > 0.5) {
    float soft = max(fwidth(rim), 1e-5);
    float wide = max(vMark.w > 1.5 ? 0.07 : 0.035, soft * (vMark.w > 1.5 ? 2.5 : 1.5));
    colour = mix(colour, ink, 1.0 - smoothstep(0.0, soft, rim - wide));
  }
  gl_FragColor = vec4(colour, 1.0);
}`;
