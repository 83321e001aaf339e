// A button that saves what the kernel makes. No file of the server is opened to the page: the bytes come as a message.

const PATIENCE = 120_000;

async function save({ name, type, packed }, buffer) {
  let blob = new Blob([buffer], { type });
  if (packed) {
    blob = await new Response(blob.stream().pipeThrough(new DecompressionStream("gzip"))).blob();
    blob = new Blob([blob], { type });
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "af-download jupyter-button widget-button";
  button.style.cssText = "width:100%;margin:2px 0";
  button.textContent = model.get("label");
  button.title = model.get("hint");
  const said = document.createElement("div");
  said.setAttribute("role", "status");
  said.style.cssText = "font-size:12px;opacity:.75;overflow-wrap:anywhere";
  el.append(button, said);
  let late = 0;

  const rest = (words) => {
    clearTimeout(late);
    button.disabled = false;
    said.textContent = words;
  };
  const hear = async (message, buffers) => {
    if (message.k === "refused") rest(message.words);
    if (message.k !== "file") return;
    await save(message, buffers[0]);
    rest(`saved ${message.name}`);
  };
  button.addEventListener("click", () => {
    button.disabled = true;
    said.textContent = "is being made …";
    late = setTimeout(() => rest("the kernel did not answer: press again"), PATIENCE);
    model.send({ k: "ask" });
  });
  model.on("msg:custom", hear);
  return () => {
    clearTimeout(late);
    model.off("msg:custom", hear);
  };
}

export default { render };
