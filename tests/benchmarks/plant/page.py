"""The browser's side of the boards' contest: real voila, headless Chromium, every frame of the socket counted.

Latency is from the moment at which the source stamped a sample (in the kernel) to the first task after the frame
that shows it (in the page, see `hook.js`): packing, sockets, voila, decoding, drawing. Both clocks are this machine's.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from playwright.sync_api import Page, WebSocket, sync_playwright

from tests.widgets.servers import ARGUMENTS, free_port, notebook, server

ROOT = Path(__file__).parents[3]
HOOK = Path(__file__).with_name("hook.js")
WARM = 6  # samples drawn before the count begins
PATIENCE = 120.0  # seconds without a new sample drawn, after which a contestant has failed
NOT_FOUND = "Error displaying widget"  # voila asks a busy kernel for its widgets once, and gives up after seconds
COUNT = "() => window.bench.drawn.length"


class NotDrawnError(RuntimeError):
    """A contestant did not show itself, or stopped."""


@dataclass
class Wire:
    """What went through a page's sockets and requests, in bytes."""

    down: int = 0
    up: int = 0
    frames: int = 0
    loaded: int = 0
    sockets: list[WebSocket] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        """Count from now on."""
        page.on("websocket", self._socket)
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.loadingFinished", lambda event: self._add(loaded=int(event["encodedDataLength"])))

    def _socket(self, socket: WebSocket) -> None:
        self.sockets.append(socket)
        socket.on("framereceived", lambda data: self._add(down=_size(data), frames=1))
        socket.on("framesent", lambda data: self._add(up=_size(data)))

    def _add(self, **counts: int) -> None:
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)


def contest(contestant: str, gpus: int, *, hz: float, updates: int, folder: Path, chromium: str) -> dict[str, Any]:
    """Serve one contestant by voila, look at it for so many updates, and return what an update costs."""
    with _voila(contestant, gpus, hz, folder) as url, _tab(chromium) as (page, wire, browser):
        start = time.perf_counter()
        page.goto(url, wait_until="commit")
        _wait(page, 1)
        opening = {"s_to_first": time.perf_counter() - start, "loaded": wire.loaded + wire.down}
        _wait(page, WARM)
        kernel = int((folder / "kernel.pid").read_text())
        before = _counted(page, wire, kernel, browser)
        _wait(page, before["drawn"] + updates)
        after = _counted(page, wire, kernel, browser)
        told = page.evaluate("() => window.bench")
        session = page.context.new_cdp_session(page)
        session.send("HeapProfiler.collectGarbage")
        heap = page.evaluate("() => performance.memory.usedJSHeapSize")
    return opening | {"heap": heap} | _summed(before, after, told, hz)


def _summed(before: dict[str, float], after: dict[str, float], told: dict[str, Any], hz: float) -> dict[str, Any]:
    """Return the counts of a window per update, and the ages of every sample in it, in milliseconds."""
    change = {name: after[name] - before[name] for name in before}
    seen = told["drawn"][int(before["drawn"]) : int(after["drawn"])]
    arrived = [moment - t * 1e3 for moment, t in told["arrived"] if t >= seen[0][2]]
    ages = {
        "arrived": arrived,
        "drawn": [at - t * 1e3 for at, _, t in seen],
        "shown": [at - t * 1e3 for _, at, t in seen],
    }
    sampled = (seen[-1][2] - seen[0][2]) * hz + 1  # by the schedule, whether or not the page kept up
    per_update = {name: change[name] / len(seen) for name in ("down", "up", "frames", "kernel", "browser")}
    return per_update | {"ages": ages, "share": len(seen) / sampled}


def _counted(page: Page, wire: Wire, kernel: int, browser: psutil.Process) -> dict[str, float]:
    """Return all counters at this moment."""
    counts = {"drawn": page.evaluate(COUNT), "seconds": time.perf_counter()}
    counts |= {"down": wire.down, "up": wire.up, "frames": wire.frames, "kernel": cpu_seconds(kernel)}
    return counts | {"browser": sum(cpu_seconds(one.pid) for one in [browser, *browser.children(recursive=True)])}


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of another process, all its threads, in nanosecond steps (Linux: its own CPU clock)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:  # it ended
        return 0.0


def _wait(page: Page, count: int) -> None:
    """Wait until so many samples were drawn."""
    found, heard = -1, time.monotonic()
    while (now := page.evaluate(f"() => window.bench ? {COUNT[6:]} : 0")) < count:
        if now > found:
            found, heard = now, time.monotonic()
        words = "" if now else page.evaluate("() => document.body?.innerText ?? ''")
        if time.monotonic() - heard > PATIENCE or NOT_FOUND in words:
            raise NotDrawnError(f"nothing new was drawn for {time.monotonic() - heard:.0f} s: {words[:200]!r}")
        page.wait_for_timeout(250)


@contextmanager
def _voila(contestant: str, gpus: int, hz: float, folder: Path) -> Iterator[str]:
    call = f"from tests.benchmarks.plant import kernel\nkernel.{contestant}({gpus}, {hz}, {str(folder)!r})"
    path, port = notebook(folder / "board.ipynb", call), free_port()
    command = [sys.executable, "-m", "voila", str(path), f"--port={port}", "--Voila.ip=127.0.0.1", "--no-browser"]
    paths = {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(folder), "AIFACTORY_WORKSPACE": str(folder / "workspace")}
    url = f"http://127.0.0.1:{port}/"
    with server(command, f"{url}voila/static/favicon.ico", paths, folder / "voila.log"):
        yield url


@contextmanager
def _tab(chromium: str) -> Iterator[tuple[Page, Wire, psutil.Process]]:
    arguments = [*ARGUMENTS, "--enable-precise-memory-info"]
    with sync_playwright() as driver:
        known = {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)}
        started = driver.chromium.launch(executable_path=chromium, args=arguments)
        browser = next(one for one in psutil.Process().children(recursive=True) if _is_browser(one, known))
        page = started.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE * 1e3)
        page.add_init_script(path=HOOK)
        wire = Wire()
        wire.listen(page)
        yield page, wire, browser
        started.close()


def _is_browser(process: psutil.Process, known: set[int]) -> bool:
    """Tell whether a process is the new browser's first one."""
    words = process.cmdline()
    return (
        process.pid not in known and "--headless" in " ".join(words) and not any(w.startswith("--type=") for w in words)
    )


def _size(data: str | bytes) -> int:
    return len(data.encode()) if isinstance(data, str) else len(data)


if __name__ == "__main__":
    import shutil
    import tempfile

    name, size = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as where:
        found = contest(name, size, hz=2.0, updates=20, folder=Path(where), chromium=shutil.which("chromium") or "")
    print(json.dumps(found | {"ages": {key: median(ages or [0.0]) for key, ages in found["ages"].items()}}, indent=1))
