"""A part of the plant under strikes: what may be struck, what must hold afterwards, how it is brought back.

A part works all the while, in a thread, and looks at every answer: it may be refused in clear words while a process is
down, it may wait as long as is stated, it may never be wrong.
"""

import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

PATIENCE = 180.0  # seconds that the plant may take to be well again, on a machine that may be busy
LIMIT = 60.0  # seconds after which a request counts as hanging


class Broken(AssertionError):  # noqa: N818 - the word for a promise
    """A promise of the plant that did not hold."""


@dataclass(frozen=True)
class Strike:
    """What was done to which process."""

    part: str
    victim: str
    pid: int
    signal: signal.Signals
    held: float = 0.0  # seconds that it was stopped

    @property
    def deadly(self) -> bool:
        """Whether it was meant to end the process."""
        return self.signal != signal.SIGSTOP


class Part:
    """A part of the plant; what it needs is started by `__enter__`, and ended by `__exit__`."""

    name = ""
    signals = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM)  # what it is struck with
    limit = LIMIT  # seconds after which its work counts as hanging

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name
        self.folder.mkdir(parents=True)
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._over, self._worker = threading.Event(), threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        """Start the processes."""

    def work(self) -> None:
        """Do one thing and check it: called again and again, in a thread of its own."""

    def victims(self) -> dict[str, psutil.Process]:
        """Return the processes that may be struck, by what they are."""
        raise NotImplementedError

    def after(self, strike: Strike) -> str:
        """Wait until all is well again, start what does not start by itself; say in words what happened."""
        raise NotImplementedError

    def stop(self) -> None:
        """End everything."""

    def finish(self) -> None:
        """Check what must hold at the end, when everything has ended: nothing lost."""

    def __enter__(self) -> "Part":
        self.start()
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._worker.join(self.limit + 30)
        hangs = self._worker.is_alive()
        self.stop()
        if hangs:
            raise Broken(f"{self.name}: its work hangs")

    def count_from_here(self) -> dict[str, int]:
        """Return what was seen so far, to wait for more of it."""
        return dict(self.seen)

    def goes_on(self, before: dict[str, int], what: str = "right", times: int = 2) -> None:
        """Wait until it has worked again."""
        until(lambda: self.seen[what] >= before.get(what, 0) + times, f"{self.name}: no {what} answer again")

    def _run(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                self.work()
            except Exception as error:  # noqa: BLE001 - the storm goes on, and its table says what was wrong
                self.wrong.append(f"{type(error).__name__}: {error}"[:400])
            if (took := time.monotonic() - began) > self.limit + 15:
                self.wrong.append(f"it took {took:.0f} s")
            self._over.wait(0.05)


def until(true, what: str, seconds: float = PATIENCE):
    """Wait until something holds, and return it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        if time.monotonic() > end:
            raise Broken(f"{what} (after {seconds:g} s)")
        time.sleep(0.05)
    return found


def gone(process: psutil.Process) -> bool:
    """Tell whether a process has ended, waited for or not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
