// Light or dark, and the colours that a canvas needs from the style sheet.

/** The theme that holds for an element: data-theme around it, JupyterLab's, the page's, else the system's. */
export function themeOf(element) {
  const told = element.parentElement?.closest("[data-theme]")?.dataset.theme;
  if (told === "light" || told === "dark") return { theme: told, by: "page" };
  const lab = document.body.dataset.jpThemeLight;
  if (lab !== undefined) return { theme: lab === "false" ? "dark" : "light", by: "jupyter" };
  const code = document.body.dataset.vscodeThemeKind; // VS Code's notebooks
  if (code) return { theme: code.includes("light") ? "light" : "dark", by: "page" };
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return { theme: dark ? "dark" : "light", by: "system" };
}

/** Keep an element's theme true; `changed` is called after every change. Returns what ends that. */
export function follow(root, changed) {
  const apply = () => {
    const { theme, by } = themeOf(root);
    const before = root.dataset.afTheme;
    root.dataset.afTheme = theme;
    root.dataset.afBy = by;
    if (before !== theme) changed();
  };
  const media = matchMedia("(prefers-color-scheme: dark)");
  const watcher = new MutationObserver(apply);
  const options = { attributes: true, attributeFilter: ["data-jp-theme-light", "data-theme", "data-vscode-theme-kind"] };
  for (const element of [document.body, document.documentElement]) watcher.observe(element, options);
  const told = root.parentElement?.closest("[data-theme]");
  if (told) watcher.observe(told, options);
  media.addEventListener("change", apply);
  apply();
  return () => {
    watcher.disconnect();
    media.removeEventListener("change", apply);
  };
}

/** Colours of the style sheet, read once per theme. */
export function inks(root) {
  const style = getComputedStyle(root);
  const read = (name) => style.getPropertyValue(`--af-${name}`).trim();
  return {
    ink: read("ink"), muted: read("muted"), faint: read("faint"), line: read("line"), ground: read("ground"),
    card: read("card"), accent: read("accent"), hatch: read("hatch"), hatchGround: read("hatch-ground"),
    font: style.fontFamily,
  };
}
