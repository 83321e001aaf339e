"""A driver of our own: compiles `fake_nvml.c` once and lets a test set, and count, what its GPUs answer.

`driver.gpu(3)["power_mw"] = 350_000` sets a value (NaN: not supported, -4: the call returns the code 4),
`driver.lose(5)` takes a GPU off the bus, `driver.calls("pcie_throughput")` counts.
"""

import ctypes
import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pynvml

SOURCE = Path(__file__).with_name("fake_nvml.c")
VARIABLE = "FAKE_NVML_STATE"
LOST = 15
NAN = float("nan")
AT_REST = {
    "memory_total": 80 << 30,
    "memory_reserved": 512 << 20,
    "temperature": 33,
    "memory_temperature": 38,
    "fan": NAN,
    "power_mw": 70_000,
    "limit_mw": 700_000,
    "sm_mhz": 345,
    "memory_mhz": 2619,
    "sm_max_mhz": 1980,
    "memory_max_mhz": 2619,
    "pcie_bits": 64,
    "pcie_generation": 5,
    "pcie_width": 16,
    "links": 18,
    "throttle": 1,
    "gpm_supported": 1,
    "mig_mode": 0,
}


def names(enum: str) -> dict[str, int]:
    """The names of one enum of the C source, in lower case, with their places."""
    body = re.search(rf"enum {enum} {{(.*?)}}", SOURCE.read_text(), re.DOTALL)[1]
    return {name.strip().lower(): place for place, name in enumerate(body.split(","))}


SWITCHES, CALLS, FIELDS = names("driver"), names("call"), names("field")
SWITCH_ROW, CALL_ROW, LATENCY_ROW, FIRST_GPU = range(4)
ROW = len(FIELDS) - 1  # the last name of the enum counts the others


@functools.lru_cache
def library() -> Path:
    """Path of the compiled `libnvidia-ml.so.1`, in a folder of its own.

    It carries no SONAME: what this process loads by path must not answer later to the driver's name.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        msg = "no C compiler here to build the stand-in for NVIDIA's library (make system-deps brings gcc)"
        raise FileNotFoundError(msg)
    target = Path(tempfile.mkdtemp(prefix="aifactory-nvml-")) / "libnvidia-ml.so.1"
    flags = ["-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, "-o", target, SOURCE, "-lm"], check=True)
    return target


class Row:
    """Numbers by name: of one GPU, or of all of them at once."""

    def __init__(self, cells: np.ndarray, places: Mapping[str, int]) -> None:
        self._cells, self._places = cells, places

    def __getitem__(self, name: str):
        return self._cells[..., self._places[name]]

    def __setitem__(self, name: str, value) -> None:
        self._cells[..., self._places[name]] = value

    def update(self, **values) -> None:
        for name, value in values.items():
            self[name] = value


class FakeDriver:
    """A driver with so many GPUs, whose state is a file that the compiled library maps."""

    def __init__(self, folder: Path, gpus: int = 8) -> None:
        self.path = Path(folder) / f"nvml-{gpus}-gpus-{id(self):x}.state"
        self.state = np.memmap(self.path, dtype=np.float64, mode="w+", shape=(FIRST_GPU + gpus, ROW))
        self.switches = Row(self.state[SWITCH_ROW], SWITCHES)
        self.switches.update(gpus=gpus, driver_version=580.65, cuda_version=13_000)
        self.all = Row(self.state[FIRST_GPU:], FIELDS)
        self.all.update(**AT_REST)
        self.slow("pcie_throughput", 20_000)  # what nvml.h says the real call takes

    def gpu(self, index: int) -> Row:
        """One GPU's numbers."""
        return Row(self.state[FIRST_GPU + index], FIELDS)

    def lose(self, index: int, code: int = LOST) -> None:
        """Let every call on a GPU return a code."""
        self.gpu(index)["rc"] = code

    def restore(self, index: int) -> None:
        """Bring a GPU back as after a reset: handles from before are invalid now."""
        self.gpu(index).update(rc=0, generation=self.gpu(index)["generation"] + 1)

    def split(self, index: int, instances: int) -> None:
        """Put a GPU into MIG mode with instances of 10 GiB."""
        sizes = {f"mig{place}_total": 10 << 30 for place in range(instances)}
        self.gpu(index).update(mig_mode=1, mig_count=instances, **sizes)

    def slow(self, group: str, microseconds: float) -> None:
        """Let every call of a group take so long."""
        self.state[LATENCY_ROW, CALLS[group]] = microseconds

    def calls(self, group: str) -> int:
        """How often the calls of a group were made since the start or `forget_calls`."""
        return int(self.state[CALL_ROW].view(np.uint64)[CALLS[group]])

    def forget_calls(self) -> None:
        self.state[CALL_ROW] = 0

    def environment(self) -> dict[str, str]:
        """What a process must have in its environment to find this driver."""
        return {"LD_LIBRARY_PATH": str(library().parent), VARIABLE: str(self.path)}

    def preload(self) -> None:
        """Be the driver that `pynvml` finds in this process, until `unload`."""
        unload()
        os.environ[VARIABLE] = str(self.path)
        pynvml.nvmlLib = ctypes.CDLL(str(library()))


def unload() -> None:
    """Leave `pynvml` as if it had never been asked: the next nvmlInit looks for the real library again."""
    if pynvml.nvmlLib is not None:
        while True:
            try:
                pynvml.nvmlShutdown()
            except pynvml.NVMLError:
                break
    os.environ.pop(VARIABLE, None)
    pynvml.nvmlLib = None
    pynvml._nvmlLib_refcount = 0
    pynvml._nvmlGetFunctionPointer_cache.clear()
