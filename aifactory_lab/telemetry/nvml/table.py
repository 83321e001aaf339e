"""What is asked of NVML: every call, when it is due, where its answer lands, and which metrics that answer holds.

Layouts and numbers are those of NVIDIA's nvml.h. A device has one record of `RECORD`, into which the calls write by
address. This module asks nothing.

>>> [metric for metric, source in COLUMNS.items() if source[0] == "memory"]
['memory_used', 'memory_total']
>>> sum(call.tier == "fast" for call in CALLS), RECORD.itemsize % 8
(9, 0)
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Tier = Literal["fast", "second", "rare"]
# nvmlFieldValue_t and nvmlMemory_v2_t of nvml.h; what is left out between is padding
FIELD = np.dtype(
    {
        "names": ["id", "scope", "time", "latency", "type", "code", "value", "narrow"],
        "formats": ["u4", "u4", "i8", "i8", "i4", "i4", "u8", "u4"],
        "offsets": [0, 4, 8, 16, 24, 28, 32, 32],  # the value is a union
    }
)
MEMORY = np.dtype(
    {
        "names": ["version", "total", "reserved", "free", "used"],
        "formats": ["u4", "u8", "u8", "u8", "u8"],
        "offsets": [0, 8, 16, 24, 32],
    }
)
# nvmlTemperature_v1_t; the older call writes the last of the three alone
CELSIUS = np.dtype([("version", "u4"), ("sensor", "u4"), ("celsius", "u4")])
MEMORY_VERSION, CELSIUS_VERSION = 0x02000028, 0x0100000C
ALL_LINKS = 0xFFFFFFFF
NARROW_TYPE = 1  # NVML_VALUE_TYPE_UNSIGNED_INT


@dataclass(frozen=True)
class Call:
    """One call: its names (the first that the library has), when it is due, and where its answers go.

    Attributes
    ----------
    answer
        The layout of what the call writes.
    before
        Arguments between the handle and the address.
    parts
        Offsets of the addresses, for a call that takes several.
    fields
        Field ids and scopes, for ``nvmlDeviceGetFieldValues``.
    successor
        The call that is made where the library no longer has this one; it writes into the same answer.
    """

    key: str
    names: tuple[str, ...]
    answer: np.dtype[Any]
    tier: Tier = "fast"
    before: tuple[int, ...] = ()
    parts: tuple[int, ...] = (0,)
    fields: tuple[tuple[int, int], ...] = ()
    successor: "Call | None" = None


def _fields(key: str, tier: Tier, *fields: tuple[int, int]) -> Call:
    names = tuple(f"f{place}" for place in range(len(fields)))
    answer = np.dtype([(name, FIELD) for name in names])
    return Call(key, ("nvmlDeviceGetFieldValues",), answer, tier, (len(fields),), fields=fields)


U32, U64 = np.dtype("u4"), np.dtype("u8")
CALLS = (
    Call("use", ("nvmlDeviceGetUtilizationRates",), np.dtype([("gpu", "u4"), ("memory", "u4")])),
    Call("memory", ("nvmlDeviceGetMemoryInfo_v2",), MEMORY),
    Call(  # deprecated, "will be removed in CUDA 14"; drivers before 575 have only this one
        "temperature",
        ("nvmlDeviceGetTemperature",),
        CELSIUS,
        before=(0,),
        parts=(8,),
        successor=Call("temperature", ("nvmlDeviceGetTemperatureV",), CELSIUS),
    ),
    Call("power", ("nvmlDeviceGetPowerUsage",), U32),
    Call("sm_clock", ("nvmlDeviceGetClockInfo",), U32, before=(1,)),
    Call("memory_clock", ("nvmlDeviceGetClockInfo",), U32, before=(2,)),
    Call("throttle", ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"), U64),
    # Counters last: the clock is read right after them. Both batches are apart, because a GPU that has only one of
    # them must not be asked for the other again. Ids: PCIE_COUNT_{TX,RX}_BYTES, NVLINK_THROUGHPUT_DATA_{TX,RX} (KiB).
    _fields("pcie", "fast", (197, 0), (198, 0)),
    _fields("nvlink", "fast", (138, ALL_LINKS), (139, ALL_LINKS)),
    # Milliseconds each on some drivers (2.6 ms for the energy of an RTX 5090): at most once a second.
    Call("energy", ("nvmlDeviceGetTotalEnergyConsumption",), U64, "second"),
    Call("power_limit", ("nvmlDeviceGetEnforcedPowerLimit",), U32, "second"),
    _fields("memory_temperature", "second", (82, 0)),
    Call("ecc_corrected", ("nvmlDeviceGetTotalEccErrors",), U64, "rare", before=(0, 0)),
    Call("ecc_uncorrected", ("nvmlDeviceGetTotalEccErrors",), U64, "rare", before=(1, 0)),
    Call("remapped", ("nvmlDeviceGetRemappedRows",), np.dtype(("u4", 4)), "rare", parts=(0, 4, 8, 12)),
    Call("sm_clock_max", ("nvmlDeviceGetMaxClockInfo",), U32, "rare", before=(1,)),
)
PLACE = {call.key: place for place, call in enumerate(CALLS)}
# metric: the call, the part of its answer, what it is multiplied by to be in the metric's unit
COLUMNS: dict[str, tuple[str, str, float]] = {
    "busy": ("use", "gpu", 1.0),
    "memory_busy": ("use", "memory", 1.0),
    "memory_used": ("memory", "used", 1.0),  # the second version: without what the driver keeps for itself
    "memory_total": ("memory", "total", 1.0),
    "temperature": ("temperature", "celsius", 1.0),
    "memory_temperature": ("memory_temperature", "f0.narrow", 1.0),
    "power": ("power", "", 1e-3),
    "power_limit": ("power_limit", "", 1e-3),
    "energy": ("energy", "", 1e-3),
    "sm_clock": ("sm_clock", "", 1.0),
    "sm_clock_max": ("sm_clock_max", "", 1.0),
    "memory_clock": ("memory_clock", "", 1.0),
    "ecc_corrected": ("ecc_corrected", "", 1.0),
    "ecc_uncorrected": ("ecc_uncorrected", "", 1.0),
    "throttle": ("throttle", "", 1.0),
}
RECORD = np.dtype([(call.key, call.answer) for call in CALLS], align=True)
COUNTERS = (("pcie", "f1"), ("pcie", "f0"), ("nvlink", "f1"), ("nvlink", "f0"))  # rx and tx of each
