"""A day of watching, as fast as it goes: 86,400 ticks at one a second, and the memory of the process all the while.

The whole tick of the sampler's thread, of 64 GPUs of the stand-in driver: source, facts, ring, the packet to an open
board, and a recorder that writes to disk every five seconds, as it does while a person works. Time is simulated:
the source's clock and the samples' stamps go on by a second a tick.
"""

import json
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.harness import RESULTS, Case, Table, machine, run
from tests.benchmarks.plant.sampling import stand_in
from tests.telemetry.driver import FIELDS, FIRST_GPU, ROW, VARIABLE

TARGET = "tests.benchmarks.plant.day:live"
GPUS, HOURS = 64, 24
HOUR, LOOK = 3_600, 600  # ticks of an hour, and between two looks at memory
WRITE = 5  # ticks between two writes of the recorder
START = 1_780_000_000.0
CURVES = RESULTS / "plant-day-curves.json"
PAGE = os.sysconf("SC_PAGE_SIZE")
HOW = (
    f"{GPUS} GPUs of the stand-in driver at 1 Hz, time simulated: source, facts, ring of an hour, packets to one board,"
    f" recorder writing every {WRITE} s. Resident memory every {LOOK // 60} simulated minutes; all of it is kept in"
    " results/plant-day-curves.json. Slope: from the second hour on, when the ring has filled, the median of the slopes"
    " between any two looks. A recorder merges its parts now and then, and needs some 25 MiB for a moment."
)


def table(*, quick: bool) -> Table:
    """Live a day (two hours if quick), without and with a recorder, side by side in two processes."""
    hours = 2 if quick else HOURS
    cases = [Case("day", TARGET, {"hours": hours, "recorded": recorded}) for recorded in (False, True)]
    with tempfile.TemporaryDirectory() as folder, stand_in(Path(folder), GPUS), ThreadPoolExecutor(2) as both:
        done = list(both.map(run, cases))
    rows = [_row(bool(recorded), hours, one) for recorded, one in enumerate(done)]
    curves = {row["what"]: one["result"]["mib"] for row, one in zip(rows, done, strict=True)}
    RESULTS.mkdir(exist_ok=True)
    CURVES.write_text(json.dumps({"machine": machine(), "MiB every 10 min": curves}))
    lows = [f"Lowest MiB of each hour, {what}: {_lows(mib)}" for what, mib in curves.items()]
    return Table(f"{hours} simulated hours at 1 Hz", rows, [HOW, *lows])


def _lows(mib: list[float]) -> str:
    """Return the lowest memory of each hour: what stays when a merge has let go of what it needed."""
    each = HOUR // LOOK
    return ", ".join(f"{min(mib[start : start + each]):.0f}" for start in range(1, len(mib), each))


def live(hours: float, *, recorded: bool) -> dict[str, Any]:
    """Tick through the hours in this process and return its memory, in MiB, at every look."""
    from aifactory_lab.telemetry.nvml.source import NvmlSource
    from aifactory_lab.telemetry.recordings.recorder import record
    from tests.benchmarks.plant.driven import Driven, Viewer

    clock, load, seen = DayClock(), Load(), [resident()]
    folder = Path(tempfile.mkdtemp())
    with Driven(Stamped(NvmlSource(clock=clock), clock)) as sampler:
        viewer = Viewer(sampler)
        recorder = record(sampler, folder / "day", every=3600.0, bands=lambda _: []) if recorded else None
        for tick in range(1, int(hours * HOUR) + 1):
            clock.now += 1.0
            load.go_on()
            sampler.tick()
            if recorder is not None and tick % WRITE == 0:
                recorder.flush()
            if tick % LOOK == 0:
                seen.append(resident())
        written = _closed(recorder)
    shutil.rmtree(folder)
    return {"mib": [round(one / 2**20, 2) for one in seen], "packed": viewer.packed, **written}


def _row(recorded: bool, hours: float, done: dict[str, Any]) -> dict[str, Any]:
    result = done["result"]
    mib, ticks = result["mib"], hours * HOUR
    return {
        "what": "with a recorder" if recorded else "no recorder",
        "ticks": int(ticks),
        "MiB at 10 min": mib[1],
        "at 1 h": mib[HOUR // LOOK],
        "middle": mib[len(mib) // 2],
        "end": mib[-1],
        "highest": max(mib),
        "slope KiB/h": round(slope(mib[HOUR // LOOK :]), 1),
        "MB on disk": None if not recorded else round(result["file"] / 1e6, 1),
        "CPU ms a tick": round(done["cpu_seconds"] / ticks * 1e3, 2),
        "s": round(done["seconds"]),
    }


def slope(mib: list[float]) -> float:
    """Return the slope of memory in KiB an hour: the median of the slopes between any two looks (Theil 1950, Sen 1968).

    A line of least squares would follow the peaks at which the recorder happened to be looked at.
    """
    pairs = combinations(enumerate(mib), 2)
    slopes = [(later - first) * 1024 / ((at_later - at) * LOOK / HOUR) for (at, first), (at_later, later) in pairs]
    return float(np.median(slopes)) if slopes else float("nan")


def _closed(recorder: Any) -> dict[str, Any]:
    """Close a recorder; return the size of its file, and make sure that it holds everything."""
    if recorder is None:
        return {}
    samples = recorder.samples
    recorder.close()
    assert recorder.error is None, recorder.error
    assert not recorder.missed, recorder.missed
    return {"file": recorder.path.stat().st_size, "recorded": samples}


class DayClock:
    """Seconds since the start of the day; begins where the machine's steady clock is, which the source may use."""

    def __init__(self) -> None:
        self.start = self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now

    @property
    def wall(self) -> float:
        """Seconds since the epoch."""
        return START + self.now - self.start


class Load:
    """What the GPUs of the stand-in do all day: they are now more, now less busy, each for itself."""

    def __init__(self) -> None:
        path = Path(os.environ[VARIABLE])
        self._gpus = np.memmap(path, dtype=np.float64, mode="r+").reshape(-1, ROW)[FIRST_GPU:]
        self._random = np.random.default_rng(0)
        self._busy = np.full(len(self._gpus), 50.0)

    def go_on(self) -> None:
        """Let a second of work pass."""
        self._busy = np.clip(self._busy + self._random.normal(0, 3, len(self._busy)), 0, 100)
        power = 100_000 + 6_000 * self._busy
        values = {"busy": self._busy, "memory_busy": self._busy / 2, "memory_used": 6e8 * self._busy, "power_mw": power}
        values |= {"temperature": 35 + self._busy / 2, "sm_mhz": 1980 - self._busy, "energy_mj": self._gone(power)}
        for name, value in values.items():
            self._gpus[:, FIELDS[name]] = np.rint(value)

    def _gone(self, power: np.ndarray) -> np.ndarray:
        return self._gpus[:, FIELDS["energy_mj"]] + power


def Stamped(source: Any, clock: DayClock) -> Any:  # noqa: N802 - it is a class, of the source's own
    """Return a source that is this one, but stamps its samples with the simulated time."""
    kind = type(source)

    class Stamped(kind):
        def sample(self) -> Any:
            return replace(super().sample(), time=clock.wall)

    source.__class__ = Stamped
    return source


def resident() -> int:
    """Return the resident memory of this process, in bytes (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
