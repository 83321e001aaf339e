"""A live board beside Plotly's live figure, in real voila: what an update costs on the wire, in kernel and page.

Contestants take turns; each turn has a voila, a kernel and a browser of its own. The samples of all turns count
together for latency; for the rest the median turn counts.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.benchmarks.harness import Table
from tests.benchmarks.plant.kernel import WINDOW
from tests.benchmarks.plant.page import NotDrawnError, contest

SIZES = (8, 64, 1_024, 10_000)
HZ = 2.0
TRIES = 3
CONTESTANTS = {"GpuBoard": "gpu_board", "plotly FigureWidget": "figure_widget"}
OURS_ALONE = 10_000  # GPUs at which only our board is shown
AIMED_GPUS, AIMS = 1_024, {"bytes down": 5_000, "ms to drawn": 5.0, "kernel CPU ms": 2.0}
HOW = (
    f"{HZ:g} scripted samples a second through the same sampler; per update, medians of the turns. Latency: from the"
    " moment the kernel stamps a sample to its arrival in the page (told for ours alone), to the moment the page's code"
    " has drawn it, and to the first task after the frame that shows it (style, layout and painting done, compositing"
    " not); one clock for all. Bytes: every frame of"
    " the kernel's socket, pings and replies too. CPU: the clocks of the kernel process (source, sampler and sockets"
    " in it) and of all of Chromium's, which paints in software here. MB to load: voila's own page included."
)
WHAT = (
    "The board draws four charts (mean, least, most), tiles and the heat map; the figure four lines and the heat map."
    f" The figure sends its lines whole, so its bytes grow until they hold {WINDOW} points; the board keeps history."
)


def table(*, quick: bool) -> Table:
    """Let the contestants draw, in turn, and return what an update costs each."""
    title = "A live board in the browser (voila): cost per update"
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        return Table(title, [{"board": "not measured: no chromium here (make system-deps brings it)"}])
    turns = turns_of(chromium, updates=8 if quick else 40, turns=1 if quick else 2)
    rows = [row(name, gpus, found) for (gpus, name), found in turns.items()]
    return Table(title, rows, [HOW, WHAT, *said(rows)])


def turns_of(chromium: str, *, updates: int, turns: int) -> dict[tuple[int, str], list[dict[str, Any]]]:
    """Return the figures of every turn, by size and contestant."""
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for _ in range(turns):
        for gpus in SIZES:
            for name, target in CONTESTANTS.items():
                if gpus >= OURS_ALONE and target != "gpu_board":
                    continue
                print(f"  {name}, {gpus:,} GPUs …", file=sys.stderr, flush=True)
                found.setdefault((gpus, name), []).append(turn(target, gpus, updates, chromium))
    return found


def turn(target: str, gpus: int, updates: int, chromium: str) -> dict[str, Any]:
    """Return the figures of one turn; a page that shows nothing, as happens on a busy machine, is opened again."""
    for left in reversed(range(TRIES)):
        try:
            with tempfile.TemporaryDirectory() as folder:
                return contest(target, gpus, hz=HZ, updates=updates, folder=Path(folder), chromium=chromium)
        except NotDrawnError as error:
            print(f"  … once more: {error}", file=sys.stderr, flush=True)
            if not left:
                raise
    raise AssertionError


def row(name: str, gpus: int, turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the turns of one contestant at one size."""
    middle = {key: median(turn[key] for turn in turns) for key in turns[0] if key != "ages"}
    ages = {key: [age for turn in turns for age in turn["ages"][key]] for key in ("arrived", "drawn", "shown")}
    return {
        "GPUs": gpus,
        "board": name,
        "updates": len(ages["drawn"]),
        "bytes down": round(middle["down"]),
        "bytes back": round(middle["up"]),
        "messages": round(middle["frames"], 1),
        "ms to page": round(median(ages["arrived"]), 1) if ages["arrived"] else None,
        "ms to drawn": round(median(ages["drawn"]), 1),
        "p95": round(late(ages["drawn"]), 1),
        "ms to frame": round(median(ages["shown"]), 1),
        "p95 ": round(late(ages["shown"]), 1),
        "kernel CPU ms": round(middle["kernel"] * 1e3, 2),
        "browser CPU ms": round(middle["browser"] * 1e3, 1),
        "JS heap MB": round(middle["heap"] / 1e6, 1),
        "MB to load": round(middle["loaded"] / 1e6, 1),
        "s to first picture": round(middle["s_to_first"], 1),
        "drawn": f"{middle['share']:.0%}",
    }


def late(ages: list[float]) -> float:
    """Return the 95th percentile."""
    return quantiles(ages, n=20, method="inclusive")[-1] if len(ages) > 1 else ages[0]


def said(rows: list[dict[str, Any]]) -> list[str]:
    """Say which aims hold, and how far apart the two are."""
    at = {row["board"]: row for row in rows if row["GPUs"] == AIMED_GPUS}
    ours, theirs = (at[name] for name in CONTESTANTS)
    words = [f"{name} {ours[name]:,} (aim: at most {aim:,}: {_held(ours[name] <= aim)})" for name, aim in AIMS.items()]
    keys = ("bytes down", "ms to drawn", "ms to frame", "kernel CPU ms", "browser CPU ms")
    times = ", ".join(f"{key} {theirs[key] / ours[key]:.1f}" for key in keys)
    return [f"At {AIMED_GPUS:,} GPUs: {'; '.join(words)}.", f"FigureWidget ÷ GpuBoard there: {times}."]


def _held(holds: bool) -> str:
    return "holds" if holds else "MISSED"
