// A plotly figure on the page. The library comes from the kernel once, for all figures of a page: no network is needed.

const PATIENCE = 20_000; // milliseconds until a figure asks for itself: the one that asked may have gone
const PULSE = 15_000; // milliseconds: a kernel that hears nothing for a minute is taken for one whose page has gone
const page = (globalThis.__aifactoryPlotly ??= pending());

function pending() {
  const state = { asked: -Infinity, plotly: null, there: new Set() };
  setInterval(() => [...state.there][0]?.send({ k: "ping" }), PULSE);
  state.ready = new Promise((done) => { state.done = (plotly) => { state.plotly = plotly; done(plotly); }; });
  return state;
}

/** Plotly itself: asked for by whichever figure is there first. `gone` tells whether this one still is. */
function library(model, gone) {
  if (page.plotly || gone()) return page.ready;
  if (performance.now() - page.asked > PATIENCE) {
    page.asked = performance.now();
    model.send({ k: "library" });
  }
  setTimeout(() => library(model, gone), 1.1 * PATIENCE);
  return page.ready;
}

async function unpack(buffer) {
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"));
  const source = await new Response(stream).text();
  const module = { exports: {} };
  new Function("module", "exports", source)(module, module.exports);
  return module.exports;
}

function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "af-plot";
  box.setAttribute("role", "img");
  el.append(box);
  let plotly = null;
  let gone = false;

  const draw = async () => {
    const text = model.get("figure");
    if (!text) return;
    plotly ??= await library(model, () => gone);
    if (gone || text !== model.get("figure")) return; // a newer one draws itself
    const { data, layout } = JSON.parse(text);
    box.setAttribute("aria-label", layout.title?.text ?? "figure");
    box.style.minHeight = `${layout.height ?? 0}px`;
    const before = box._fullLayout;
    await plotly.react(box, data, { ...layout, autosize: true, width: undefined }, model.get("config"));
    if (!before) {
      box.on("plotly_click", ({ points }) => {
        const { customdata, curveNumber: trace, pointNumber: point } = points[0];
        model.send({ k: "pick", trace, point, customdata: customdata ?? null });
      });
    }
    box.dataset.drawn = String(Number(box.dataset.drawn ?? 0) + 1);
  };
  const hear = async (message, buffers) => {
    if (message.k === "library") page.done(await unpack(buffers[0]));
  };
  // a figure in a tab that is not open has no width until it is
  const sized = new ResizeObserver(() => { if (box._fullLayout && box.offsetWidth) plotly.Plots.resize(box); });

  model.on("msg:custom", hear);
  model.on("change:figure", draw);
  sized.observe(box);
  page.there.add(model);
  draw();
  return () => {
    gone = true;
    page.there.delete(model);
    sized.disconnect();
    model.off("msg:custom", hear);
    model.off("change:figure", draw);
    if (box._fullLayout) plotly.purge(box);
  };
}

export default { render };
