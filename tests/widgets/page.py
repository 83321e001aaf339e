"""A board on a page of its own: the committed bundle, a stand-in for the widget model, messages of the real packer."""

import base64
import json
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from aifactory_lab.widgets.board import STATIC

ARGS = ["--no-sandbox", "--disable-quic", "--disable-gpu", "--disable-background-networking"]
HTML = """<!doctype html><meta charset="utf-8"><title>board</title>
<style>body { margin: 12px; background: #fff } [data-ground=dark] body { background: #0b0d0f }</style>
<style>%s</style><div id="host"></div>
<script>
const traits = %s;
const handlers = {};
window.sent = [];
window.model = {
  get: (name) => traits[name],
  on: (name, f) => { (handlers[name] ??= []).push(f) },
  off: (name, f) => { handlers[name] = (handlers[name] ?? []).filter((g) => g !== f) },
  send: (message) => { sent.push(message) },
};
window.fire = (name, ...given) => (handlers[name] ?? []).forEach((f) => f(...given));
const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
window.deliver = (packets) => packets.forEach(([m, b]) => fire("msg:custom", m, b.map(bytes)));
window.begin = async (source) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const { default: widget } = await import(url);
  window.widget = widget;
  window.end = widget.render({ model, el: document.getElementById("host") });
};
</script>"""


class Tab:
    """A page with a board on it."""

    def __init__(self, tab: Page, problems: list[str]) -> None:
        self.tab, self.problems = tab, problems

    def deliver(self, packets: Iterable) -> None:
        coded = [[message, [base64.b64encode(b).decode() for b in buffers]] for message, buffers in packets]
        self.tab.evaluate("(packets) => deliver(packets)", coded)
        self.painted()

    def painted(self) -> None:
        """Wait until everything that came is drawn."""
        self.tab.evaluate("() => new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(f)))")

    def text(self, selector: str) -> str:
        return self.tab.inner_text(selector)

    def sent(self, kind: str) -> list[dict]:
        return [m for m in self.tab.evaluate("sent") if m["k"] == kind]

    def pixel(self, x: float, y: float) -> tuple[int, ...]:
        """The colour of the heat map at a point, in CSS pixels from its corner."""
        code = """([x, y]) => { const c = document.querySelector('.af-map canvas');
            const r = c.width / c.clientWidth;
            return [...c.getContext('2d').getImageData(Math.round(x * r), Math.round(y * r), 1, 1).data] }"""
        return tuple(self.tab.evaluate(code, [x, y]))


@contextmanager
def launched(chromium: str):
    """A browser for many tabs."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=ARGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser, folder: Path, panels, *, title="Board", width=1400, scheme="light", options=None, height=1000):
    """A tab with an empty board, which already said hello."""
    page = folder / "board.html"
    traits = {"title": title, "panels": list(panels), "options": options or {}}
    page.write_text(HTML % ((STATIC / "board.css").read_text(), json.dumps(traits)))
    tab = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": height})
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("request", lambda r: problems.append(r.url) if r.url.startswith("http") else None)
    tab.goto(page.as_uri())
    tab.evaluate("(dark) => { document.documentElement.dataset.ground = dark ? 'dark' : 'light' }", scheme == "dark")
    tab.evaluate("(source) => begin(source)", (STATIC / "board.js").read_text())
    yield Tab(tab, problems)
    assert problems == []
    tab.close()
