"""NVIDIA's management library (NVML): opened with the reason if it cannot be, its calls by name, its codes in words.

The calls are taken from the library that `pynvml` opened, without the wrapper's Python around each. This module
does not know which of them anyone wants.

>>> words(15)
'the GPU is lost (it fell off the bus, or its driver stopped)'
>>> STATES[[0, 3, 15]].tolist() == [State.VALUE, State.UNSUPPORTED, State.LOST]
True
"""

import ctypes
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pynvml

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.readings import State

Function: TypeAlias = Callable[..., int]
OK, UNINITIALISED, INVALID, UNSUPPORTED, LOST, UNKNOWN = 0, 1, 2, 3, 15, 999
# nvmlReturn_t of nvml.h: what says that there is no such reading here, or none for this user ...
NEVER = (3, 4, 13, 22, 25)
# ... and what says that the GPU itself is gone: not initialised any more, lost, reset required, not found
GONE = (1, 15, 16, 28)
CODES = 1001  # nvmlReturn_t ends with 999, unknown

_WORDS = {
    1: "the library was shut down by someone else in this process",
    2: "the GPU's handle is no longer valid",
    3: "the driver has no such reading of this GPU",
    4: "this user may not read it",
    15: "the GPU is lost (it fell off the bus, or its driver stopped)",
    16: "the GPU needs a reset",
    28: "the GPU is no longer found",
    999: "the driver met an unknown error",
}
_REFUSALS = {
    4: (
        "this user may not open the NVIDIA driver",
        "ls -l /dev/nvidia*  # who may? in a container: --gpus all",
    ),
    9: ("the NVIDIA driver is installed, but not loaded", "sudo modprobe nvidia  # then nvidia-smi"),
    12: (
        "no NVIDIA driver here (libnvidia-ml.so.1 not found)",
        "nvidia-smi  # must work first; in a container: docker run --gpus all …",
    ),
    18: ("the NVIDIA driver was updated, and the kernel still runs the one before", "sudo reboot"),
}


def _states() -> np.ndarray[Any, np.dtype[np.uint8]]:
    states = np.full(CODES, State.LOST, dtype=np.uint8)
    states[[*NEVER]] = State.UNSUPPORTED
    states[OK] = State.VALUE
    return states


def _mask(*codes: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    mask = np.zeros(CODES, dtype=bool)
    mask[list(codes)] = True
    return mask


STATES = _states()
IS_NEVER, IS_GONE, IS_INVALID = _mask(*NEVER), _mask(*GONE), _mask(INVALID)
IS_FAULT = STATES == State.LOST


def words(code: int) -> str:
    """Return what a code means."""
    return _WORDS.get(code) or f"NVML's code {code}, {str(pynvml.NVMLError(code)).lower()}"


def start() -> int:
    """Open the library and count the GPUs; `stop` ends it.

    Raises
    ------
    TelemetryError
        If there is no driver, it does not run, this user may not use it, or it sees no GPU.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        refused = f"the NVIDIA driver cannot be asked (nvmlInit: {words(error.value)})"
        msg, mend = _REFUSALS.get(error.value, (refused, "nvidia-smi  # what does it say?"))
        raise TelemetryError(msg, mend=mend) from error
    try:
        count = int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError as error:
        stop()
        msg = f"the NVIDIA driver does not count its GPUs ({words(error.value)})"
        raise TelemetryError(msg, mend="nvidia-smi  # what does it say?") from error
    if not count:
        stop()
        msg = "the NVIDIA driver runs, but sees no GPU"
        raise TelemetryError(msg, mend="nvidia-smi -L  # in a container: docker run --gpus all …")
    return count


def stop() -> None:
    """Let go of the library; others in this process may use it on."""
    try:
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:  # somebody shut it down for us
        return


def function(*names: str) -> Function | None:
    """Return the first of these calls that the library has: names change between drivers. Without a library, none."""
    for name in names if pynvml.nvmlLib is not None else ():
        try:
            found: Function = pynvml.nvmlLib[name]
        except AttributeError:
            continue
        return found
    return None


def ask(call: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
    """Make one of `pynvml`'s own calls; return its answer and the code, `None` with a code that is not 0."""
    try:
        return call(*arguments), OK
    except pynvml.NVMLError as error:
        return None, int(error.value) if 0 < error.value < CODES else UNKNOWN


def address(pointer: Any) -> int:
    """Return a handle as a number."""
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0
