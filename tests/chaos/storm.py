"""Strike after strike: a seeded choice of process and signal, then the plant must be well; at the end nothing is left.

Every process of the storm carries a mark in its environment, and all temporary files lie in one folder: what outlives
the plant is found by that.
"""

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from aifactory_lab.telemetry.sharing.announced import announced
from tests.chaos.parts import Part, Strike, gone, until

MARK = "AIFACTORY_CHAOS"
SIGNALS = {signal.SIGKILL: 5, signal.SIGSTOP: 3, signal.SIGTERM: 2}
STOPPED = (2.0, 5.0)  # seconds between SIGSTOP and SIGCONT
MOMENT = 30.0  # seconds that what was told to end may take
# Meant to outlive a process: what processes share, a mark of ONNX Runtime's, Dask's locks; a killed voila's folder.
KEPT = ("aifactory_lab-", ".ses", "dask-scratch-space", "voila_")
OURS = "multiprocessing.resource_tracker"  # ends with this process, not before


@dataclass
class Storm:
    """Some parts of a plant, and what was done to them.

    Attributes
    ----------
    rows
        A strike each, and what must hold at the end: part, victim, signal, seconds until all was well, what happened,
        whether it held.
    """

    parts: Sequence[Part]
    random: random.Random
    rows: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def strike(
        self, only: str = "", with_signal: signal.Signals | None = None, victim: str = ""
    ) -> dict[str, Any] | None:
        """Strike one process, wait until its part is well, and look at all the others."""
        choices = [
            (part, name, process)
            for part in self.parts
            if not only or part.name == only
            for name, process in sorted(part.victims().items())
            if not victim or name == victim
        ]
        if not choices:
            return None
        part, name, process = self.random.choice(choices)
        chosen = with_signal or self.random.choices(part.signals, [SIGNALS[one] for one in part.signals])[0]
        held = self.random.uniform(*STOPPED) if chosen == signal.SIGSTOP else 0.0
        began = time.monotonic()
        self._send(process, chosen, held)
        row = {"at s": round(began - self.started), "part": part.name, "victim": name, "signal": chosen.name}
        row["stopped s"] = round(held, 1) or ""
        try:
            row["what happened"] = part.after(Strike(part.name, name, process.pid, chosen, held))
            row["well after s"], row["held"] = round(time.monotonic() - began - held, 1), "yes"
        except Exception as error:  # noqa: BLE001 - the storm goes on, and its table says what was wrong
            row |= {"what happened": f"{type(error).__name__}: {error}"[:300], "held": "NO"}
        for other in self.parts:
            if other.wrong:
                row |= {"held": "NO", "what happened": f"{row['what happened']}; {other.name}: {other.wrong[0]}"}
                other.wrong.clear()
        self.rows.append(row)
        return row

    @property
    def broken(self) -> list[dict[str, Any]]:
        """The rows that did not hold."""
        return [row for row in self.rows if row["held"] != "yes"]

    def last(self, part: Part, what: str, check: Callable[..., object], *words: object) -> None:
        """Check what must hold at the end; the other parts are ended and checked whatever comes of it."""
        row = {"at s": round(time.monotonic() - self.started), "part": part.name, "victim": f"at the end: {what}"}
        try:
            check(*words)
        except Exception as error:  # noqa: BLE001 - its row says what was wrong
            self.rows.append(row | {"what happened": f"{type(error).__name__}: {error}"[:300], "held": "NO"})
        else:
            self.rows.append(row | {"held": "yes"})

    def _send(self, process: psutil.Process, chosen: signal.Signals, held: float) -> None:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(chosen)
            if held:
                time.sleep(held)
                process.send_signal(signal.SIGCONT)


@contextmanager
def place() -> Iterator[Path]:
    """Give everything that is started inside a mark and one folder for what is temporary."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))  # sockets need short names
    (folder / "tmp").mkdir()
    (folder / "run").mkdir(mode=0o700)
    own = {MARK: folder.name, "TMPDIR": str(folder / "tmp"), "XDG_RUNTIME_DIR": str(folder / "run")}
    own["AIFACTORY_CACHE"] = str(folder / "cache")
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    was, tempfile.tempdir = tempfile.tempdir, None
    try:
        yield folder
    finally:
        tempfile.tempdir = was
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        shutil.rmtree(folder, ignore_errors=True)


def marked(mark: str) -> list[psutil.Process]:
    """Return the processes, but for this one, that carry a mark and have not ended."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid == os.getpid() or (process.ppid() == os.getpid() and OURS in " ".join(process.cmdline())):
                continue
            if process.environ().get(MARK) == mark and not gone(process):
                found.append(process)
    return found


def orphans(folder: Path) -> list[str]:
    """Return what outlives a plant: its processes (they have a moment), sockets and temporary files."""
    with suppress(AssertionError):
        until(lambda: not marked(folder.name), "processes are left", seconds=MOMENT)
    left = [f"process {process.pid}: {' '.join(process.cmdline())[:150]}" for process in marked(folder.name)]
    announced()  # whoever looks next sweeps away what killed servers had announced
    files = [*(folder / "tmp").iterdir(), *(folder / "run").glob("*/endpoints/*.json")]
    return left + [f"file {path.relative_to(folder)}" for path in files if not path.name.startswith(KEPT)]


@contextmanager
def blowing(parts: Sequence[Part], seed: int) -> Iterator[Storm]:
    """Start the parts, end them, and check what must hold at the end; the storm's rows say what does not."""
    storm = Storm(parts, random.Random(seed))
    with ExitStack() as running:
        for part in parts:
            part.__enter__()
            running.callback(storm.last, part, "it ends", part.__exit__, None, None, None)
        storm.started = time.monotonic()
        yield storm
    for part in parts:
        storm.last(part, "nothing is lost", part.finish)
