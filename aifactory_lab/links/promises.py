"""What GPUs' links should carry, by NVIDIA's management library: PCIe as it could and does run, NVLink, C2C.

NVML counts GPUs in another order than CUDA may, so GPUs are found by their address on the PCI bus. Nothing is measured
here.

>>> Nvml("no NVIDIA driver here").host("0000:65:00.0").reason
'no NVIDIA driver here'
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pynvml

from aifactory_lab.errors import TelemetryError
from aifactory_lab.links import published
from aifactory_lab.links.pci import Pcie
from aifactory_lab.links.published import Promise
from aifactory_lab.telemetry.nvml.calls import ask, start, stop

# nvmlNvlinkVersion_t of nvml.h; 2.2 and 3.1 run as fast as 2.0 and 3.0
VERSIONS = {2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 5}


@dataclass(frozen=True)
class Told:
    """A promise, or None; and what a reader should know of it."""

    promise: Promise | None
    reason: str = ""


class Nvml:
    """The library while it is open, or why it is not."""

    def __init__(self, obstacle: str = "") -> None:
        self._obstacle = obstacle

    def host(self, bus: str) -> Told:
        """Return what a GPU's link with its host should carry: C2C where it hangs on a Grace, else PCIe."""
        handle = self._handle(bus)
        if handle is None:
            return Told(None, self._why(bus))
        mode, code = ask(pynvml.nvmlDeviceGetC2cModeInfoV, handle)
        if not code and mode.isC2cEnabled:
            return Told(published.c2c())
        link = _pcie(handle)
        if link is None:
            return Told(None, "NVML does not say how this GPU's PCIe link runs")
        return Told(link.promise, "; ".join(link.notes))

    def pair(self, bus: str, other: str) -> Told:
        """Return what joins two GPUs: the NVLinks between them, else the slower of their PCIe links."""
        one, two = self._handle(bus), self._handle(other)
        if one is None or two is None:
            return Told(None, self._why(bus if one is None else other))
        status, code = ask(pynvml.nvmlDeviceGetP2PStatus, one, two, pynvml.NVML_P2P_CAPS_INDEX_NVLINK)
        if not code and status == pynvml.NVML_P2P_STATUS_OK:
            return _nvlinks(one, two)
        hosts = [told for told in (self.host(bus), self.host(other)) if told.promise]
        slower = min(hosts, key=lambda told: told.promise.bytes_s if told.promise else 0.0, default=Told(None))
        return Told(slower.promise, slower.reason or "no NVLink between them")

    def _handle(self, bus: str) -> Any:
        return None if self._obstacle else ask(pynvml.nvmlDeviceGetHandleByPciBusId, bus)[0]

    def _why(self, bus: str) -> str:
        return self._obstacle or f"NVML knows no GPU at {bus}"


@contextmanager
def open_nvml() -> Iterator[Nvml]:
    """Open the library; without it nothing is promised, and the reason is said."""
    try:
        start()
    except TelemetryError as error:
        yield Nvml(error.what)
        return
    try:
        yield Nvml()
    finally:
        stop()


def _pcie(handle: Any) -> Pcie | None:
    calls = ("MaxPcieLinkGeneration", "MaxPcieLinkWidth", "CurrPcieLinkGeneration", "CurrPcieLinkWidth")
    generation, width, runs, lanes = (ask(getattr(pynvml, f"nvmlDeviceGet{call}"), handle)[0] for call in calls)
    if not (generation and width and runs and lanes):
        return None
    return Pcie((generation, width), (runs, lanes))


def _nvlinks(one: Any, two: Any) -> Told:
    """Count the links from one GPU to another: its own to a switch that both hang on, or those between the two."""
    versions, switched, direct = set(), 0, 0
    there = _address(ask(pynvml.nvmlDeviceGetPciInfo, two)[0])
    for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
        if not ask(pynvml.nvmlDeviceGetNvLinkState, one, link)[0]:
            continue
        versions.add(ask(pynvml.nvmlDeviceGetNvLinkVersion, one, link)[0])
        kind = ask(pynvml.nvmlDeviceGetNvLinkRemoteDeviceType, one, link)[0]
        switched += kind == pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH
        direct += _address(ask(pynvml.nvmlDeviceGetNvLinkRemotePciInfo, one, link)[0]) == there
    generation, count = VERSIONS.get(min(versions, default=0)), direct or switched
    if not generation or not count:
        return Told(None, "NVLink joins them, but NVML does not say by how many links of which generation")
    return Told(published.nvlink(generation, count))


def _address(info: Any) -> tuple[int, int, int] | None:
    return None if info is None else (info.domain, info.bus, info.device)
