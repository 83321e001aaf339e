// A line to copy, with the button that copies it. Where the page may not write the clipboard, the line is selected.

// A page that is only looked at keeps its kernel: voila takes one for idle that hears nothing for a minute.
const PULSE = 20_000;

function render({ model, el }) {
  const row = document.createElement("div");
  row.style.cssText = "display:flex;gap:6px;align-items:flex-start;flex-wrap:wrap;margin:2px 0;line-height:1.45";
  const label = document.createElement("span");
  label.style.cssText = "flex:0 0 72px;font-size:12px;opacity:.78;padding-top:3px";
  const line = document.createElement("code");
  line.tabIndex = 0;
  line.style.cssText =
    "flex:1 1 200px;min-width:0;overflow-wrap:anywhere;white-space:pre-wrap;padding:2px 8px;border-radius:4px;" +
    "background:rgba(128,134,145,.18);user-select:all;font-size:12px;color:inherit";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "jupyter-button widget-button";
  button.style.cssText = "flex:0 0 auto;width:auto;margin:0";
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  said.style.cssText = "flex:0 0 56px;font-size:12px;opacity:.78;padding-top:3px";
  row.append(label, line, button, said);
  el.append(row);

  const show = () => {
    label.textContent = model.get("label");
    line.textContent = model.get("line");
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy the line for the ${model.get("label")}`);
    said.textContent = "";
    row.style.display = model.get("line") ? "flex" : "none";
  };
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(model.get("line"));
      said.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(line);
      said.textContent = "Ctrl-C";
    }
  });
  model.on("change:line change:label", show);
  show();
  const pulse = setInterval(() => model.send({ k: "ping" }), PULSE);
  return () => {
    clearInterval(pulse);
    model.off("change:line change:label", show);
  };
}

export default { render };
