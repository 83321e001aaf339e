"""Kill a run at seeded random moments, wait for its children, run it again; then compare what it made and left.

A moment is a line that the run says and a part of the time until its next one, both drawn from a seed: so every station
is met as often as any other, on a fast machine and on a busy one. This module does not know what the stations make.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
MARK = "AIFACTORY_SURVIVAL"  # in the environment of a run and of all that it starts
PATIENCE = 60.0  # seconds in which whatever a killed run started must be gone: a server answers what it accepted
LONGEST = 600.0


@dataclass
class Spoken:
    """What a run said, and when, in seconds since its start."""

    lines: list[tuple[float, str]] = field(default_factory=list)
    code: int | None = None

    @property
    def last(self) -> str:
        """The last station that was said to begin or end."""
        return next((_name(text) for _, text in reversed(self.lines) if _name(text)), "start")

    def gaps(self) -> dict[str, float]:
        """Return each line's name with the seconds until the next one."""
        named = [(0.0, "start"), *((at, _name(text)) for at, text in self.lines if _name(text))]
        return {name: named[n + 1][0] - at for n, (at, name) in enumerate(named[:-1])}


@dataclass(frozen=True)
class Kill:
    """One kill: after which line, how long after it, and whom."""

    after: str
    seconds: float
    whole: bool  # all that the run started, or the run alone


def plan(spoken: Spoken, kills: int, seed: int) -> list[Kill]:
    """Draw kills, in the order of the run."""
    drawn, gaps = random.Random(seed), spoken.gaps()
    chosen = sorted(drawn.choices(list(gaps), k=kills), key=list(gaps).index)
    return [Kill(name, drawn.random() * gaps[name], drawn.random() < 0.5) for name in chosen]


def run(command: list[str], folder: Path, kill: Kill | None = None, *, wait: bool = True) -> Spoken:
    """Run a command to its end or to its kill; what it writes for a moment and caches goes into `folder`.

    Without `wait` what it said after its kill is not waited for: a child that lives on holds the pipe.
    """
    process = start(command, folder)
    spoken, reader = Spoken(), threading.Timer(LONGEST, process.kill)
    reader.start()
    begun, met = time.monotonic(), threading.Event()
    if kill and kill.after == "start":
        threading.Timer(kill.seconds, _kill, (process, kill)).start()
    for text in process.stdout or ():
        spoken.lines.append((time.monotonic() - begun, text.rstrip("\n")))
        if kill and not met.is_set() and _name(spoken.lines[-1][1]) == kill.after:
            met.set()
            threading.Timer(kill.seconds, _kill, (process, kill)).start()
            if not wait:
                break
    spoken.code = process.wait()
    reader.cancel()
    if process.stdout:
        process.stdout.close()
    return spoken


def start(command: list[str], folder: Path, **options: object) -> "subprocess.Popen[str]":
    """Start a command that can be told from others by its environment."""
    places = {name: folder / name for name in ("tmp", "cache")}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    told = {MARK: str(folder), "TMPDIR": str(places["tmp"]), "AIFACTORY_CACHE": str(places["cache"])}
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "80", **told}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=surroundings, start_new_session=True, **{**streams, **options})


def left(folder: Path) -> list[psutil.Process]:
    """Return the processes that runs in `folder` started and that still live."""
    return [process for process in psutil.process_iter() if _environment(process).get(MARK) == str(folder)]


def gone(folder: Path, seconds: float = PATIENCE) -> list[str]:
    """Wait until nothing lives that runs in `folder` started; return the command lines of what does not end."""
    end = time.monotonic() + seconds
    while (alive := left(folder)) and time.monotonic() < end:
        time.sleep(0.1)
    words = [" ".join(process.cmdline()[:4]) for process in alive]
    for process in alive:
        process.kill()
    return words


def python(module: str, *words: object) -> list[str]:
    """Return the command that runs a module of ours."""
    return [sys.executable, "-m", module, *map(str, words)]


def _kill(process: "subprocess.Popen[str]", kill: Kill) -> None:
    if process.poll() is not None:
        return
    parent = psutil.Process(process.pid)
    victims = [parent, *(parent.children(recursive=True) if kill.whole else ())]
    for victim in victims:
        _signal(victim)


def _signal(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def _name(text: str) -> str:
    """Return what a line of the run stands for: a station at work, a station done, a registration; else nothing."""
    words = text.split()
    if text.endswith(" …"):
        return words[0]
    if text.startswith("  ") and words and words[0].endswith(":"):
        return f"after {words[0][:-1]}"
    return "registry " + words[2] + " " + words[4] if text.startswith("registry: version") else ""


def files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, in order."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file())
