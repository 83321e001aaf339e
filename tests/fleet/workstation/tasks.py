"""What these tests send as jobs."""

import os
import signal
import subprocess
import time
from pathlib import Path


def hold(gate: str = "", seconds: float = 0.0) -> tuple[list[str], float, float]:
    """Hold the job's GPUs until a file is there, or for a while; return them and the span, on a clock all share."""
    began = time.monotonic()
    while gate and not Path(gate).exists():
        time.sleep(0.05)
    time.sleep(seconds)
    gpus = [index for index in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if index]
    return gpus, began, time.monotonic()


def leave_a_child(told: str) -> None:
    """Be killed while a child lives."""
    Path(told).write_text(str(subprocess.Popen(["sleep", "600"]).pid))
    os.kill(os.getpid(), signal.SIGKILL)


def leave(code: int) -> None:
    os._exit(code)


class Lap:
    """A training that is asked to hand over, and counts how often it was started."""

    def __init__(self, gate: str) -> None:
        self.gate, self.laps = gate, 1

    def __call__(self) -> tuple[int, float]:
        while not Path(self.gate).exists():
            time.sleep(0.05)
        return self.laps, time.monotonic()

    def checkpoint(self):
        from submitit.helpers import DelayedSubmission

        self.laps += 1
        return DelayedSubmission(self)
