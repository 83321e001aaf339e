"""The GPUs of this machine and their MIG instances: found, named, and found again after a reset.

A GPU that is lost when it is looked for has no name yet, only its number; it stays in its row. This module does not
know what is read from a device.

>>> Device(row=0, index=0, entity=Entity(("here", "gpu 0"))).present
False
"""

import ctypes
from dataclasses import dataclass, field
from typing import Any

import pynvml

from aifactory_lab.telemetry.nvml.calls import LOST, NEVER, OK, UNINITIALISED, ask
from aifactory_lab.telemetry.readings import Entity

# Bytes/s of one lane by PCIe generation: GT/s × coding / 8 (PCI-SIG; 8b/10b up to 2, 128b/130b to 5, FLIT in 6)
LANE = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}


@dataclass
class Device:
    """One row of the layout.

    Attributes
    ----------
    row, index
        Its row, and the driver's number of its GPU.
    entity
        What the layout says about it.
    handle
        The driver's handle; `None` while it is lost.
    parent, instance
        For a MIG instance: the row of its GPU, and the number of its GPU instance.
    code
        Why it is lost, 0 if it is not.
    retry
        When it is looked for again.
    top
        Most bytes/s that its PCIe link can carry, 0 if the driver does not say.
    instances
        UUIDs of the MIG instances that it was split into when it was found.
    words
        What is known about it in words.
    """

    row: int
    index: int
    entity: Entity
    handle: Any = None
    parent: int | None = None
    instance: int = 0
    code: int = LOST
    retry: float = 0.0
    top: float = 0.0
    instances: tuple[str, ...] = ()
    words: dict[str, str] = field(default_factory=dict)

    @property
    def present(self) -> bool:
        """Whether the driver answers for it."""
        return self.handle is not None

    @property
    def pointer(self) -> ctypes.c_void_p:
        """The handle as the C functions take it."""
        return ctypes.cast(self.handle, ctypes.c_void_p)


def find(count: int, machine: tuple[str, ...]) -> list[Device]:
    """Return the devices of all GPUs, each GPU before its MIG instances.

    Parameters
    ----------
    count
        How many GPUs the driver counts.
    machine
        Path of this machine.
    """
    devices: list[Device] = []
    for index in range(count):
        handle, code = ask(pynvml.nvmlDeviceGetHandleByIndex, index)
        gpu = Device(len(devices), index, _entity((*machine, f"gpu {index}"), "gpu", handle), handle, code=code)
        devices.append(gpu)
        if gpu.present:
            gpu.top, instances = _link(gpu), _instances(gpu)
            gpu.instances = tuple(instance.entity.uid for instance in instances)
            devices += instances
    return devices


def find_again(device: Device) -> int:
    """Look for a lost device by what identifies it; return 0 if it is back.

    A library that was shut down under us is opened again.
    """
    handle, code = _handle(device)
    if code == UNINITIALISED and ask(pynvml.nvmlInit)[1] == OK:
        handle, code = _handle(device)
    device.handle, device.code = handle, code
    return code


def resplit(device: Device) -> bool:
    """Tell whether a GPU is split into other MIG instances than when it was found."""
    mode, code = ask(pynvml.nvmlDeviceGetMigMode, device.handle)
    if device.parent is not None or (code and code not in NEVER):
        return False
    handles = _instance_handles(device) if mode and mode[0] else []
    return tuple(_uid(handle) for handle in handles) != device.instances


def _handle(device: Device) -> tuple[Any, int]:
    if device.entity.uid:
        return ask(pynvml.nvmlDeviceGetHandleByUUID, device.entity.uid)
    return ask(pynvml.nvmlDeviceGetHandleByIndex, device.index)


def _entity(path: tuple[str, ...], kind: Any, handle: Any) -> Entity:
    if handle is None:
        return Entity(path, kind)
    return Entity(path, kind, ask(pynvml.nvmlDeviceGetName, handle)[0] or "", _uid(handle))


def _uid(handle: Any) -> str:
    return ask(pynvml.nvmlDeviceGetUUID, handle)[0] or ""


def _instances(gpu: Device) -> list[Device]:
    found = []
    for place, handle in enumerate(_instance_handles(gpu)):
        entity = _entity((*gpu.entity.path, f"mig {place}"), "mig", handle)
        instance = ask(pynvml.nvmlDeviceGetGpuInstanceId, handle)[0] or 0
        found.append(Device(gpu.row + 1 + place, gpu.index, entity, handle, gpu.row, instance, code=OK))
    return found


def _instance_handles(gpu: Device) -> list[Any]:
    mode, code = ask(pynvml.nvmlDeviceGetMigMode, gpu.handle)
    if code or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        return []
    most = ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, gpu.handle)[0] or 0
    handles = (ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, gpu.handle, place)[0] for place in range(most))
    return [handle for handle in handles if handle is not None]


def _link(gpu: Device) -> float:
    generation, _ = ask(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, gpu.handle)
    width, _ = ask(pynvml.nvmlDeviceGetMaxPcieLinkWidth, gpu.handle)
    if generation and width:
        gpu.words["PCIe"] = f"generation {generation} × {width}"
    return LANE.get(generation or 0, 0.0) * (width or 0)
