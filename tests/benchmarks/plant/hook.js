// Put into a page before its own code: notes when a sample arrived and when it was on screen.
//
// A sample is drawn when the contestant's code is done with it, and shown in the first task after the frame that holds
// it: style, layout and painting are behind it, the compositor is not. Moments are milliseconds since the epoch, on the
// clock that the kernel stamps its samples with.
(() => {
  const now = () => performance.timeOrigin + performance.now();
  const told = (window.bench = { arrived: [], drawn: [] });
  const seen = new Set();
  const later = [];
  const channel = new MessageChannel();
  channel.port1.onmessage = () => later.splice(0).forEach((act) => act());
  const soon = (act) => (later.push(act), channel.port2.postMessage(0)); // the next task, after all promises

  // whether this is inside a frame: from its first callback to the first task after it
  let inFrame = false;
  const frame = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (act) => frame((at) => {
    if (!inFrame) soon(() => (inFrame = false));
    inFrame = true;
    act(at);
  });
  const painted = (act) => (inFrame ? soon(act) : window.requestAnimationFrame(() => soon(act)));

  /** The newest sample shown is that of `t` (seconds). */
  function note(t) {
    if (seen.has(t)) return;
    seen.add(t);
    const drawn = now();
    painted(() => told.drawn.push([drawn, now(), t]));
  }

  // A sample's arrival: the frame of the socket, before anything is decoded.
  const header = new TextDecoder("latin1");
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        if (!(data instanceof ArrayBuffer)) return;
        const found = /"k": ?"tick".*?"t": ?([0-9.]+)/.exec(header.decode(data.slice(0, 4096)));
        if (found) told.arrived.push([now(), Number(found[1])]);
      });
    }
  };

  // Our board counts its paintings; each shows what its model was handed last. The manager is voila's.
  let newest = 0;
  const follow = async () => {
    for (const model of await Promise.all(Object.values(window.jupyterapp.widgetManager._models))) {
      if (model.get("panels")) model.on("msg:custom", ({ k, t }) => k === "tick" && (newest = t));
    }
  };
  const paintings = new MutationObserver(() => newest && note(newest));
  const plotted = (figure) => figure.on("plotly_afterplot", () => {
    const x = figure._fullData?.[0]?.x;
    if (x?.length) note(x[x.length - 1]);
  });
  const look = new MutationObserver(() => {
    for (const board of document.querySelectorAll(".af-board:not([data-benched])")) {
      board.dataset.benched = "1";
      follow();
      paintings.observe(board, { attributeFilter: ["data-painted"] });
    }
    for (const figure of document.querySelectorAll(".js-plotly-plot:not([data-benched])")) {
      if (!figure.on) continue; // not one yet
      figure.dataset.benched = "1";
      plotted(figure);
    }
  });
  look.observe(document, { childList: true, subtree: true });
})();
