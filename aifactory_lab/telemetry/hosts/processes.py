"""The busiest processes of this user, found a slice at a time, so that a machine of thousands costs no more.

A round over all processes takes as many ticks as it needs; shares are over the time between two looks at the same
process. This module does not know what a process works on.

>>> import os
>>> scan = Scan(cores=2)
>>> while not (found := scan.look()):
...     pass
>>> any(process.pid == os.getpid() and "this process" in process.name for process in found)
True
"""

import getpass
import os
import time
from collections import deque

import psutil

from aifactory_lab.telemetry.readings import Process

TOP = 5
SLICE_SECONDS = 0.0015


class Scan:
    """Looks at the processes of this user in rounds.

    Parameters
    ----------
    cores
        What counts as 100 %: the cores of the machine, or of its container.
    """

    def __init__(self, cores: float) -> None:
        self.cores = cores
        self._user, self._uid = _user(), os.getuid()
        self._left: deque[int] = deque()
        self._round: list[Process] = []
        self._spent: dict[tuple[int, float], tuple[float, float]] = {}
        self._known: dict[tuple[int, float], tuple[float, float]] = {}

    def look(self) -> tuple[Process, ...]:
        """Look at the next few; return the busiest when a round is complete, nothing before.

        This process is always among them, and marked.
        """
        if not self._left:
            self._left.extend(psutil.pids())
        end = time.perf_counter() + SLICE_SECONDS
        while self._left and time.perf_counter() < end:
            self._take(self._left.popleft())
        return () if self._left else self._finish()

    def _take(self, pid: int) -> None:
        try:
            if _owner(pid) != self._uid:
                return
            process = psutil.Process(pid)
            with process.oneshot():
                times, name, memory = process.cpu_times(), process.name(), process.memory_info().rss
                who = (pid, process.create_time())  # a number may be given out again
        except (psutil.Error, OSError):  # it ended meanwhile
            return
        if not memory:  # a thread of the kernel, or a process that nobody has buried yet
            return
        if pid == os.getpid():
            name += " (this process)"
        busy = self._share(who, times.user + times.system)
        self._round.append(Process(pid, name, self._user, memory, busy))

    def _share(self, who: tuple[int, float], spent: float) -> float | None:
        """Return percent of the cores since the last look at this process, `None` at the first."""
        now = time.monotonic()
        self._spent[who] = (spent, now)
        before, then = self._known.get(who, (spent, now))
        return 100 * (spent - before) / (self.cores * (now - then)) if now > then else None

    def _finish(self) -> tuple[Process, ...]:
        self._known, self._spent = self._spent, {}
        ranked, self._round = sorted(self._round, key=lambda process: -(process.busy or 0.0)), []
        return tuple(p for place, p in enumerate(ranked) if place < TOP or p.pid == os.getpid())


def _owner(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116 - a tenth of what Path or psutil take, for every process
    except FileNotFoundError:
        return int(psutil.Process(pid).uids().real)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid())
