"""What compute is here, and why: the only file that asks whether there is a GPU.

It asks the CUDA driver itself (its C interface, in a process of its own, because a process that has
initialised CUDA must not fork) and then whether the packages that would compute there are installed: RAPIDS, unless the
asker needs others. It does not know what anyone does with the answer.

>>> from aifactory_lab import device
>>> device.current("cpu").reason
'cpu was asked for by argument'
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

from aifactory_lab.errors import DeviceError

Kind = Literal["cpu", "gpu"]
VARIABLE = "AIFACTORY_DEVICE"
RAPIDS = ("cudf_polars", "cuml", "dask_cuda")
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE, https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html
ANSWER = "aifactory-lab probe: "  # how the line begins that the probing process prints
INSTALL = "pip install 'aifactory-lab[gpu]'"


@dataclass(frozen=True)
class Gpu:
    """One CUDA device as its driver describes it."""

    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Device:
    """The compute that the factory will use, and the reason in words."""

    kind: Kind
    reason: str
    gpus: tuple[Gpu, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} ({self.reason})"


@dataclass(frozen=True)
class Probe:
    """What the driver answered: the GPUs, or the obstacle that stands before them."""

    gpus: tuple[Gpu, ...] = ()
    obstacle: str = ""
    driver: str = ""


def current(prefer: str | None = None, *, needs: Sequence[str] = RAPIDS) -> Device:
    """Choose CPU or GPU and say why.

    Parameters
    ----------
    prefer
        ``"cpu"``, ``"gpu"`` or ``"auto"``; by default what `AIFACTORY_DEVICE` says, else ``"auto"``.
    needs
        Packages without which a GPU is of no use to the asker: RAPIDS for tables and forests, ``("torch",)`` for
        language models.

    Raises
    ------
    DeviceError
        If the word is unknown, or a GPU is asked for that cannot be used; the message says what is missing.
    """
    asked, source = (prefer, "argument") if prefer else (os.environ.get(VARIABLE) or "auto", VARIABLE)
    if asked not in ("auto", *get_args(Kind)):
        msg = f"unknown device {asked!r} (from {source}); it must be one of auto, cpu, gpu"
        raise DeviceError(msg, mend=f"export {VARIABLE}=auto")
    if asked == "cpu":
        return Device("cpu", f"cpu was asked for by {source}")
    found = probe()
    obstacle = found.obstacle or _missing(needs, found.gpus)
    if not obstacle:
        held = ["RAPIDS installed"] if tuple(needs) == RAPIDS else [f"{name} installed" for name in needs]
        words = ", ".join([_names(found.gpus), f"CUDA driver {found.driver}", *held])
        return Device("gpu", words, found.gpus)
    if asked == "gpu":
        msg = f"a GPU was asked for by {source}, but {obstacle}"
        raise DeviceError(msg, mend=f"export {VARIABLE}=cpu")
    return Device("cpu", obstacle, found.gpus)


@cache
def probe() -> Probe:
    """Ask the CUDA driver once per process, from a process of its own (about 0.1 s with a driver)."""
    try:
        driver()
    except DeviceError as error:
        return Probe(obstacle=error.what)
    command = [sys.executable, "-m", "aifactory_lab.device"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Probe(obstacle="the CUDA driver did not answer within 60 s")
    if done.returncode:
        return Probe(obstacle=f"the CUDA driver crashed while it was asked ({ending(done.returncode)})")
    # A driver may print lines of its own, before or after.
    answer = json.loads(next(line for line in done.stdout.splitlines() if line.startswith(ANSWER))[len(ANSWER) :])
    gpus = tuple(Gpu(**gpu) for gpu in answer["gpus"])
    return Probe(gpus, answer["obstacle"], answer["driver"])


def ending(code: int) -> str:
    """Return how a process ended: the signal's name, or its code.

    >>> ending(-11), ending(3)
    ('SIGSEGV', 'exit 3')
    """
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _missing(needs: Sequence[str], gpus: Sequence[Gpu]) -> str:
    missing = [name for name in needs if find_spec(name) is None]
    if not missing:
        return ""
    install = INSTALL if tuple(needs) == RAPIDS else f"pip install {' '.join(missing)}"
    return f"{_names(gpus)} is here, but {', '.join(missing)} is not installed: {install}"


def _names(gpus: Sequence[Gpu]) -> str:
    return f"{len(gpus)} × {gpus[0].name}"


def driver() -> ctypes.CDLL:
    """Return the CUDA driver's C interface, not initialised: for a process of its own, which must not fork afterwards.

    Raises
    ------
    DeviceError
        If there is none.
    """
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        msg = "no CUDA driver (libcuda.so.1 not found)"
        raise DeviceError(msg, mend="nvidia-smi  # must work first; in a container: docker run --gpus all …") from error


def _ask_driver() -> Probe:
    """Count the GPUs and prove that the first can allocate memory (CUDA driver API, C calls)."""
    cuda = driver()
    count, version = ctypes.c_int(), ctypes.c_int()
    code = cuda.cuInit(0)
    if code not in (0, NO_DEVICE):
        return Probe(obstacle=f"the CUDA driver cannot start (cuInit returned {error_words(cuda, code)})")
    cuda.cuDriverGetVersion(ctypes.byref(version))
    cuda.cuDeviceGetCount(ctypes.byref(count))  # leaves 0 where cuInit found no device
    told = f"{version.value // 1000}.{version.value % 1000 // 10}"
    if count.value == 0:
        return Probe(obstacle="the CUDA driver sees no GPU (CUDA_VISIBLE_DEVICES may hide it)", driver=told)
    gpus = tuple(_describe(cuda, index) for index in range(count.value))
    return Probe(gpus, _allocate(cuda), told)


def error_words(cuda: ctypes.CDLL, code: int) -> str:
    """Return a code of the driver with the name that it has for it."""
    name = ctypes.c_char_p()
    cuda.cuGetErrorName(code, ctypes.byref(name))
    return f"{code}, {name.value.decode()}" if name.value else str(code)


def _describe(cuda: ctypes.CDLL, index: int) -> Gpu:
    handle, size, name = ctypes.c_int(), ctypes.c_size_t(), ctypes.create_string_buffer(128)
    cuda.cuDeviceGet(ctypes.byref(handle), index)
    cuda.cuDeviceGetName(name, 128, handle)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(size), handle)
    return Gpu(name.value.decode(), size.value)


def _allocate(cuda: ctypes.CDLL) -> str:
    """Try one KiB on the first GPU; a driver can list a GPU that is lost or full."""
    context, pointer = ctypes.c_void_p(), ctypes.c_uint64()
    for call, arguments in (
        ("cuDevicePrimaryCtxRetain", (ctypes.byref(context), 0)),
        ("cuCtxSetCurrent", (context,)),
        ("cuMemAlloc_v2", (ctypes.byref(pointer), ctypes.c_size_t(1024))),
    ):
        if code := getattr(cuda, call)(*arguments):
            return f"GPU 0 is listed but cannot be used ({call} returned {error_words(cuda, code)})"
    return ""


def kind(prefer: str | None = None) -> Kind:
    """Return the kind alone, for the places that branch on it."""
    return current(prefer).kind


if __name__ == "__main__":
    answer = _ask_driver()
    gpus = [{"name": gpu.name, "memory_bytes": gpu.memory_bytes} for gpu in answer.gpus]
    text = json.dumps({"gpus": gpus, "obstacle": answer.obstacle, "driver": answer.driver})
    sys.stdout.write(f"\n{ANSWER}{text}\n")
