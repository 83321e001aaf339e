"""Copies between the host and GPUs and among GPUs, timed: the passes of each link, in bytes per second.

Pinned copies and those between GPUs are timed by the GPU's own events. Pageable ones are timed by the host: the driver
takes them through a pinned buffer of its own, outside any stream. What the links should carry is `promises`' to say.

>>> direction("to_host", pinned=False)
'device to host, pageable'
"""

import ctypes
import time
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np

from aifactory_lab.errors import DeviceError
from aifactory_lab.links.cuda import Driver, Gpu
from aifactory_lab.links.link import Link

WORDS = {"from_host": "host to device", "to_host": "device to host"}
PINNED = {"from_host": "cuMemcpyHtoDAsync_v2", "to_host": "cuMemcpyDtoHAsync_v2"}
PAGEABLE = {"from_host": "cuMemcpyHtoD_v2", "to_host": "cuMemcpyDtoH_v2"}


def direction(way: str, *, pinned: bool) -> str:
    """Return a copy's direction in words."""
    return f"{WORDS[way]}, {'pinned' if pinned else 'pageable'}"


def host(driver: Driver, gpu: Gpu, *, size: int, passes: int) -> Iterator[Link]:
    """Yield a GPU's four links with its host: both directions, from pinned memory and from pageable."""
    for pinned in (True, False):
        for way in WORDS:
            name = f"gpu{gpu.index}_{way}" + ("" if pinned else "_pageable")
            link = Link(name, f"gpu {gpu.index}, {direction(way, pinned=pinned)}")
            measure = _pinned if pinned else _pageable
            try:
                yield Link(name, link.what, measure(driver, gpu, way, size, passes))
            except DeviceError as error:
                yield Link(name, link.what, reason=error.what)


def pair(driver: Driver, gpu: Gpu, other: Gpu, *, size: int, passes: int) -> Link:
    """Return the link from one GPU to another, and whether the copy goes there by itself."""
    name, what = f"gpu{gpu.index}_to_gpu{other.index}", f"gpu {gpu.index} to gpu {other.index}"
    try:
        peer = driver.peers(gpu, other)
        words = f"{what}, peer access" if peer else f"{what}, no peer access: through the host"
        return Link(name, words, _between(driver, gpu, other, size, passes))
    except DeviceError as error:
        return Link(name, what, reason=error.what)


def _pinned(driver: Driver, gpu: Gpu, way: str, size: int, passes: int) -> tuple[float, ...]:
    driver.use(gpu)
    with driver.pinned(size) as near, driver.memory(size) as far, driver.clock() as clock:
        ends = (far, near) if way == "from_host" else (near, far)
        seconds = [
            clock.seconds(lambda: driver.call(PINNED[way], *ends, ctypes.c_size_t(size), clock.stream))
            for _ in range(passes + 1)
        ]
    return _rates(size, seconds)


def _pageable(driver: Driver, gpu: Gpu, way: str, size: int, passes: int) -> tuple[float, ...]:
    driver.use(gpu)
    near, seconds = np.ones(size, np.uint8), []
    pointer = ctypes.c_void_p(near.ctypes.data)
    with driver.memory(size) as far:
        ends = (far, pointer) if way == "from_host" else (pointer, far)
        for _ in range(passes + 1):
            start = time.perf_counter()
            driver.call(PAGEABLE[way], *ends, ctypes.c_size_t(size))
            driver.call("cuCtxSynchronize")  # a small copy returns before it has arrived
            seconds.append(time.perf_counter() - start)
    return _rates(size, seconds)


def _between(driver: Driver, gpu: Gpu, other: Gpu, size: int, passes: int) -> tuple[float, ...]:
    with ExitStack() as held:
        driver.use(other)
        far = held.enter_context(driver.memory(size))
        driver.use(gpu)
        near, clock = held.enter_context(driver.memory(size)), held.enter_context(driver.clock())
        arguments = (far, other.context, near, gpu.context, ctypes.c_size_t(size), clock.stream)
        seconds = [clock.seconds(lambda: driver.call("cuMemcpyPeerAsync", *arguments)) for _ in range(passes + 1)]
    return _rates(size, seconds)


def _rates(size: int, seconds: list[float]) -> tuple[float, ...]:
    """Return the rates; the first pass woke the link up and is left out."""
    return tuple(size / max(each, 1e-9) for each in seconds[1:])
