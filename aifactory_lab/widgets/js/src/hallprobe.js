// What the browser can do and what it calls a colour, asked before three.js is.

/** A colour of any kind, as a theme of somebody else may have it, as "#rrggbb". */
export function plain(colour) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.fillStyle = colour;
  return pen.fillStyle.startsWith("#") ? pen.fillStyle : "#888888";
}

/**
 * Whether WebGL is drawn by the processor here: then every pixel counts. Throws where there is none, before three.js
 * would fill the console with it.
 */
export function isSoftware() {
  const context = document.createElement("canvas").getContext("webgl2");
  if (!context) throw new Error("no WebGL");
  const facts = context.getExtension("WEBGL_debug_renderer_info");
  const name = facts ? context.getParameter(facts.UNMASKED_RENDERER_WEBGL) : "";
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}
