"""Two drivers of our own in one folder, CUDA's and NVML's: simulated GPUs for processes that are started with it.

Their copies are copies of this machine's memory. What is measured here is therefore *simulated*: the tests look at
which links are found, how they are timed and what is promised, never at how fast a GPU is.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from aifactory_lab import device
from aifactory_lab.links import Link, gpus
from tests.telemetry.driver import FakeDriver, library

CUDA = Path(__file__).parents[1] / "fake_cuda.c"
OTHERS = ("AIFACTORY_DEVICE", "CUDA_VISIBLE_DEVICES")
STRICT = {"FAKE_CUDA_STRICT": "1"}  # memory that was not given back is a failure


def build(folder: Path) -> Path:
    """Compile both drivers into a folder."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler, "no C compiler: make system-deps"
    flags = ["-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, "-o", folder / "libcuda.so.1", CUDA], check=True)
    shutil.copy(library(), folder / "libnvidia-ml.so.1")
    return folder


class Simulated:
    """So many simulated GPUs: `nvml` is what their management library says, `environment` what a process needs."""

    def __init__(self, drivers: Path, folder: Path, gpus: int) -> None:
        self.nvml = FakeDriver(folder, gpus)
        self.count = gpus
        found = self.nvml.environment() | {"LD_LIBRARY_PATH": str(drivers), "FAKE_CUDA_GPUS": str(gpus)}
        self.environment = {name: text for name, text in os.environ.items() if name not in OTHERS} | found

    def run(self, code: str, *words: str, **faults: str) -> subprocess.CompletedProcess[str]:
        """Run Python in a process that finds these drivers."""
        line, environment = [sys.executable, "-c", code, *words], self.environment | faults
        return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)

    def measure(self, **faults: str) -> tuple[dict[str, Link], tuple[str, ...]]:
        """Return the links by name, and the notes."""
        gpu = device.Gpu("simulated", 1 << 30)
        chosen = device.Device("gpu", "two drivers of the tests", (gpu,) * self.count)
        with patch.dict(os.environ, self.environment | STRICT | faults, clear=True):
            found = gpus.measure(chosen, size=1 << 20, passes=3)
        return {link.name: link for link in found.links}, found.notes
