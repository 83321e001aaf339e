"""What it costs to be measured: an empty `Meter`, a `%%meter` cell, the ledger of every cell, an event of the journal.

Each is called many times in one fresh process, in turn with the others, without a GPU and with eight of the stand-in
driver. What `%%meter` adds is the difference to the same cell in a plain IPython shell, the ledger's part in it.
"""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.harness import Case, Table, run
from tests.benchmarks.plant.sampling import stand_in

TARGET = "tests.benchmarks.plant.meters:costs"
GPUS = 8
CELL = "x = 1"
HOW = (
    "Medians of many calls, in turn, in a fresh process; milliseconds of wall and of CPU time (the meter's thread in"
    f" it). With {GPUS} GPUs of the stand-in driver: Python's cost alone; a real driver's first nvmlInit takes longer."
    ""
)
Ran = dict[str, tuple[float, float]]  # name → wall and CPU, ms


def table(*, quick: bool) -> Table:
    """Measure without a GPU and with some."""
    calls = {"rounds": 20 if quick else 200}
    without = run(Case("meters", TARGET, calls))["result"]
    with tempfile.TemporaryDirectory() as folder, stand_in(Path(folder), GPUS):
        there = run(Case("meters", TARGET, calls))["result"]
    rows = [
        {
            "what": name,
            "wall ms": round(wall, 5),
            "CPU ms": round(cpu, 5),
            f"wall ms, {GPUS} GPUs": round(there[name][0], 5),
            f"CPU ms, {GPUS} GPUs": round(there[name][1], 5),
        }
        for name, (wall, cpu) in without.items()
    ]
    return Table("What measuring costs", rows, [HOW])


def costs(rounds: int) -> Ran:
    """Measure everything in this process."""
    from aifactory_lab.measure import Meter
    from aifactory_lab.telemetry import journal

    event = journal.Event("progress", "bench", "bench.1", "rows", 1)

    def metered() -> None:
        with Meter("bench"):
            pass

    found = _timed({"with measure.Meter(): pass": metered, **_cells()}, rounds)
    meter = Meter("bench")
    with tempfile.TemporaryDirectory() as folder:
        small = {
            "meter.progress(n), told twice a second": lambda: meter.progress(1),
            "journal.publish(event), nobody listens": lambda: journal.publish(event),
            "journal.append(file, event)": lambda: journal.append(Path(folder, "journal.jsonl"), event),
        }
        return _over_plain(found) | _timed(small, rounds, calls=100)


PLAIN, LEDGER, METERED = "plain cell", "the ledger, per cell", "%%meter, over a plain cell"


def _cells() -> dict[str, Callable[[], Any]]:
    """Return a plain cell, what the ledger does around one, and the same cell metered."""
    from IPython.core.interactiveshell import InteractiveShell

    from aifactory_lab import cells

    plain, extended = _shell(InteractiveShell), _shell(InteractiveShell)
    cells.load_ipython_extension(extended)
    result = extended.run_cell(CELL, store_history=True)

    def ledger() -> None:
        extended.events.trigger("pre_run_cell", result.info)
        extended.events.trigger("post_run_cell", result)

    return {
        PLAIN: lambda: plain.run_cell(CELL, store_history=True),
        LEDGER: ledger,
        METERED: lambda: _silent(extended, f"%%meter bench\n{CELL}"),
    }


def _shell(kind: Any) -> Any:
    shell = kind()
    shell.history_manager.enabled = False  # no file of anyone's history is written
    return shell


def _silent(shell: Any, cell: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        shell.run_cell(cell, store_history=True)


def _over_plain(found: Ran) -> Ran:
    """Take from the metered cell what a plain cell costs."""
    wall, cpu = found.pop(PLAIN)
    return found | {METERED: (found[METERED][0] - wall, found[METERED][1] - cpu)}


def _timed(functions: dict[str, Callable[[], Any]], rounds: int, *, calls: int = 1) -> Ran:
    """Call each in turn, so many rounds and calls in a row, and return the medians of a call."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            cpu, wall = time.process_time(), time.perf_counter()
            for _call in range(calls):
                function()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    share = 1e3 / calls
    return {
        name: (share * median(w for w, _ in all_), share * median(c for _, c in all_)) for name, all_ in times.items()
    }
