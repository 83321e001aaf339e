"""A hall on a page of its own: the committed bundle, and the state of a real widget as Jupyter would bring it."""

import base64
import json
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from aifactory_lab.widgets.hall import STATIC, HallView

COMMON = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
SOFTWARE = [*COMMON, "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
WITHOUT = [*COMMON, "--disable-gpu", "--disable-3d-apis"]
TRAITS = ("title", "by", "selected", "incidents", "moment", "height", "told_hall", "told_values")
HTML = """<!doctype html><meta charset="utf-8"><title>hall</title>
<style>body { margin: 12px; background: #fff } [data-ground=dark] body { background: #0b0d0f }</style>
<style>%s</style><div id="host"></div>
<script>
const revive = (_, value) => value && value.base64 !== undefined
  ? new DataView(Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0)).buffer) : value;
const traits = {};
const handlers = {};
window.saved = [];
window.model = {
  get: (name) => traits[name],
  set: (name, value) => { traits[name] = value; fire(`change:${name}`) },
  save_changes: () => { saved.push({ by: traits.by, selected: traits.selected }) },
  on: (name, f) => { (handlers[name] ??= []).push(f) },
  off: (name, f) => { handlers[name] = (handlers[name] ?? []).filter((g) => g !== f) },
};
window.listeners = () => Object.values(handlers).flat().length;
window.fire = (name) => [...handlers[name] ?? []].forEach((f) => f());
window.take = (text) => {
  const state = JSON.parse(text, revive);
  Object.assign(traits, state);
  Object.keys(state).forEach((name) => fire(`change:${name}`));
};
window.begin = async (source) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const { default: widget } = await import(url);
  window.widget = widget;
  window.end = widget.render({ model, el: document.getElementById("host") });
};
</script>"""


class HallTab:
    """A page with a hall on it."""

    def __init__(self, tab: Page, problems: list[str]) -> None:
        self.tab, self.problems = tab, problems

    def take(self, view: HallView, *names: str) -> None:
        """Bring what the widget tells now, all of it or some traits."""
        self.tab.evaluate("(text) => take(text)", coded(view, names or TRAITS))
        self.painted()

    def painted(self) -> None:
        """Wait until everything that came is drawn."""
        self.tab.evaluate("() => new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(f)))")

    @property
    def paints(self) -> int:
        return int(self.tab.locator(".af-hall").get_attribute("data-painted") or 0)

    def text(self, selector: str) -> str:
        return self.tab.inner_text(selector)

    def again(self, view: HallView, *, width: int, height: int, scheme: str) -> None:
        """Show another hall on the same page, as it would begin."""
        self.tab.set_viewport_size({"width": width, "height": height})
        self.tab.emulate_media(color_scheme=scheme)
        self.tab.mouse.move(0, 0)
        self.tab.evaluate("saved.length = 0")
        self.take(view)
        self.tab.locator(".af-hall-port").focus()
        for key in ("Escape", "h"):
            self.tab.keyboard.press(key)
        self.painted()

    def saved(self) -> dict:
        return self.tab.evaluate("saved.at(-1)")


def coded(view: HallView, names) -> str:
    """Traits as text, their buffers in base64."""
    as_text = lambda value: {"base64": base64.b64encode(value).decode()}  # noqa: E731
    return json.dumps({name: getattr(view, name) for name in names}, default=as_text)


@contextmanager
def launched(chromium: str, arguments=SOFTWARE):
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@contextmanager
def opened(browser, folder: Path, view: HallView, *, width=840, height=640, scheme="light", quiet=True):
    """A tab with a hall, drawn."""
    page = folder / "hall.html"
    page.write_text(HTML % (STATIC / "hall.css").read_text())
    tab = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": height})
    tab.set_default_timeout(120_000)
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("request", lambda r: problems.append(r.url) if r.url.startswith("http") else None)
    tab.goto(page.as_uri())
    tab.evaluate("(dark) => { document.documentElement.dataset.ground = dark ? 'dark' : 'light' }", scheme == "dark")
    tab.evaluate("(text) => take(text)", coded(view, TRAITS))
    tab.evaluate("(source) => begin(source)", (STATIC / "hall.js").read_text())
    tab.wait_for_selector(".af-hall[data-painted]")
    found = HallTab(tab, problems)
    found.painted()
    yield found
    assert not quiet or not problems, problems
    tab.close()
