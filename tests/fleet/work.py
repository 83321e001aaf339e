"""What the tests send as jobs: in a module of its own, so that a job imports it by name and nothing else."""

import os
import signal
import subprocess
import time
from pathlib import Path


def add(left: int, right: int = 1) -> int:
    return left + right


def boom(word: str) -> None:
    msg = f"{word} is wrong"
    raise ValueError(msg)


def say(*lines: str) -> str:
    for line in lines:
        print(line, flush=True)
    return lines[-1]


def stay(seconds: float) -> tuple[list[str], float, float]:
    """Hold the job's GPUs for a while; return their ids, and from when to when."""
    began = time.time()
    time.sleep(seconds)
    return devices(), began, time.time()


def devices() -> list[str]:
    return [index for index in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if index]


def large(mebibytes: int) -> bytes:
    return bytes(mebibytes << 20)


def die_once(mark: str) -> str:
    """Be killed the first time, as by the kernel's out-of-memory killer."""
    path = Path(mark)
    if path.exists():
        return "alive"
    path.write_text("died")
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


class Steps:
    """A training that keeps its place: every step is a line in a file, and none is done twice."""

    def __init__(self, path: str, steps: int, seconds: float = 0.1) -> None:
        self.path, self.steps, self.seconds = path, steps, seconds

    def __call__(self) -> int:
        while (step := self.done()) < self.steps:
            time.sleep(self.seconds)
            with Path(self.path).open("a", encoding="utf-8") as file:
                file.write(f"{step}\n")
        return self.done()

    def done(self) -> int:
        path = Path(self.path)
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0

    def checkpoint(self):
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def die_later(mark: str) -> str:
    """Wait to be killed the first time."""
    path = Path(mark)
    if path.exists():
        return "alive"
    path.write_text("died")
    time.sleep(600)
    return "never"


def parent() -> None:
    """Start a child, tell its pid, and wait with it."""
    child = subprocess.Popen(["sleep", "600"])
    print(child.pid, flush=True)
    child.wait()


def environment(name: str) -> str:
    return os.environ[name]
