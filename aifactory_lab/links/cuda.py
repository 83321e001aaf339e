"""The CUDA driver's C interface, as far as copies need it: contexts, memory on both sides, copies, their time.

It is spoken by ctypes, as `device` does: a dozen symbols that NVIDIA has kept for ten years, and so the links can be
measured where the driver is and no CUDA package. `cuda.bindings` comes with the `gpu` extra alone (gigabytes of
RAPIDS) and wraps the same symbols. A process that has opened a `Driver` must not fork: `gpus` gives it one of its own.

>>> Driver(lib=None).call("cuInit", 0)
Traceback (most recent call last):
AttributeError: 'NoneType' object has no attribute 'cuInit'
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aifactory_lab import device
from aifactory_lab.errors import DeviceError

PORTABLE = 1  # CU_MEMHOSTALLOC_PORTABLE: pinned for every context
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
ALREADY = 704  # CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED
Pointer = ctypes.c_uint64


@dataclass(frozen=True)
class Gpu:
    """A GPU in use: the driver's number, its address on the PCI bus, its primary context."""

    index: int
    bus: str
    context: ctypes.c_void_p


class Driver:
    """The driver, opened.

    Parameters
    ----------
    lib
        The C library; `device.driver()` opens it.
    """

    def __init__(self, lib: Any) -> None:
        self._lib = lib

    @classmethod
    def open(cls) -> "Driver":
        """Open and initialise it.

        Raises
        ------
        DeviceError
            If there is none, or it refuses; so do all calls below, with the driver's own word.
        """
        made = cls(device.driver())
        made.call("cuInit", 0)
        return made

    def call(self, name: str, *arguments: Any, allow: int = 0) -> None:
        """Make a call; a code other than 0 (or `allow`) is an error."""
        code = getattr(self._lib, name)(*arguments)
        if code not in (0, allow):
            msg = f"{name} returned {device.error_words(self._lib, code)}"
            raise DeviceError(msg, mend="nvidia-smi  # what does it say?")

    def gpu(self, index: int) -> Gpu:
        """Return a GPU with its primary context, which every library in a process shares."""
        handle, context, bus = ctypes.c_int(), ctypes.c_void_p(), ctypes.create_string_buffer(64)
        self.call("cuDeviceGet", ctypes.byref(handle), index)
        self.call("cuDeviceGetPCIBusId", bus, 64, handle)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), handle)
        return Gpu(index, bus.value.decode(), context)

    def use(self, gpu: Gpu) -> None:
        """Make its context the thread's own."""
        self.call("cuCtxSetCurrent", gpu.context)

    def peers(self, gpu: Gpu, other: Gpu) -> bool:
        """Tell whether a GPU may reach another's memory itself; from then on it does."""
        may = ctypes.c_int()
        self.call("cuDeviceCanAccessPeer", ctypes.byref(may), gpu.index, other.index)
        if may.value:
            self.use(gpu)
            self.call("cuCtxEnablePeerAccess", other.context, 0, allow=ALREADY)
        return bool(may.value)

    @contextmanager
    def memory(self, size: int) -> Iterator[Pointer]:
        """Lend memory of the current GPU."""
        pointer = Pointer()
        self.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
        try:
            yield pointer
        finally:
            self.call("cuMemFree_v2", pointer)

    @contextmanager
    def pinned(self, size: int) -> Iterator[ctypes.c_void_p]:
        """Lend memory of the host that the GPU reaches itself (page-locked)."""
        pointer = ctypes.c_void_p()
        self.call("cuMemHostAlloc", ctypes.byref(pointer), ctypes.c_size_t(size), PORTABLE)
        try:
            yield pointer
        finally:
            self.call("cuMemFreeHost", pointer)

    @contextmanager
    def clock(self) -> Iterator["Clock"]:
        """Lend a stream of the current GPU with a clock on it."""
        stream, first, last = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuStreamCreate", ctypes.byref(stream), NON_BLOCKING)
        for event in (first, last):
            self.call("cuEventCreate", ctypes.byref(event), 0)
        try:
            yield Clock(self, stream, first, last)
        finally:
            for event in (first, last):
                self.call("cuEventDestroy_v2", event)
            self.call("cuStreamDestroy_v2", stream)


@dataclass(frozen=True)
class Clock:
    """A stream, and two events that the GPU itself stamps (half a microsecond's resolution)."""

    driver: Driver
    stream: ctypes.c_void_p
    first: ctypes.c_void_p
    last: ctypes.c_void_p

    def seconds(self, work: Callable[[], None]) -> float:
        """Return what the work that is put on the stream took."""
        taken = ctypes.c_float()
        self.driver.call("cuEventRecord", self.first, self.stream)
        work()
        self.driver.call("cuEventRecord", self.last, self.stream)
        self.driver.call("cuEventSynchronize", self.last)
        self.driver.call("cuEventElapsedTime", ctypes.byref(taken), self.first, self.last)
        return taken.value / 1e3
