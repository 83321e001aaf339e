"""All of NVML's numbers for all devices: read call after call into one flat array, written out column by column.

Each call gets, once, the address at which its answer belongs. So a tick is a list of ready C calls, then a few
operations on whole columns: about a microsecond a call, for 8 GPUs or 8,192. What the driver says it never answers
is not asked again. This module does not know lost devices' comings and goings.

>>> sheet = Sheet(2, clock=lambda: 0.0)
>>> sheet.read("fast"), sheet.codes.shape == (2, len(CALLS))
({}, True)
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.telemetry.nvml.calls import (
    CODES,
    INVALID,
    IS_FAULT,
    IS_GONE,
    IS_INVALID,
    IS_NEVER,
    STATES,
    UNSUPPORTED,
    Function,
    function,
)
from aifactory_lab.telemetry.nvml.table import (
    CALLS,
    CELSIUS_VERSION,
    COLUMNS,
    COUNTERS,
    MEMORY_VERSION,
    NARROW_TYPE,
    PLACE,
    RECORD,
    Call,
    Tier,
)
from aifactory_lab.telemetry.readings import Snapshot

METRIC_PLACES = [*(PLACE[call] for call, _, _ in COLUMNS.values()), PLACE["remapped"]]


class _Plan(NamedTuple):
    """The C calls of a tier, device by device, and where in the table their codes belong."""

    calls: list[list[tuple[Function, tuple[Any, ...]]]]
    rows: NDArray[np.intp]
    places: NDArray[np.intp]


class Sheet:
    """The records, and the codes that the calls returned, of so many devices.

    Attributes
    ----------
    records
        Structured array, one record a device.
    codes
        Shape (devices, calls): what each call returned last; "not supported" where nobody asks.
    times
        Shape (devices,): when its counters were read, on `clock`.
    without_memory
        Shape (devices,): whether the driver says that it has no memory of its own.
    """

    def __init__(self, devices: int, clock: Callable[[], float]) -> None:
        self.records = np.zeros(devices, RECORD)
        self.codes = np.full((devices, len(CALLS)), UNSUPPORTED, dtype=np.int32)
        self.times = np.zeros(devices)
        self._clock = clock
        self._asked = np.zeros((devices, len(CALLS)), dtype=bool)
        self._calls = [call if function(*call.names) else call.successor or call for call in CALLS]
        self._functions = [function(*call.names) for call in self._calls]
        self._arguments: list[list[tuple[Any, ...]]] = [[] for _ in range(devices)]
        self._plans: dict[Tier, _Plan] = {}
        self._prepare()
        self._views = {metric: _view(self.records, call, part) for metric, (call, part, _) in COLUMNS.items()}
        self._counts = [_view(self.records, call, f"{part}.value") for call, part in COUNTERS]
        self._types = [_view(self.records, call, f"{part}.type") for call, part in COUNTERS]

    def ask(self, row: int, pointer: ctypes.c_void_p, keys: Sequence[str] | None = None) -> None:
        """Ask a device from now on, for all or only some of the calls."""
        base = self.records.ctypes.data + row * RECORD.itemsize
        self._arguments[row] = [_arguments(call, pointer, base + _offset(call)) for call in self._calls]
        self._asked[row] = [
            self._functions[place] is not None and (keys is None or call.key in keys)
            for place, call in enumerate(CALLS)
        ]
        self.codes[row] = UNSUPPORTED
        self._plans.clear()

    def leave(self, row: int, code: int) -> None:
        """Ask a device no more; all that it was asked for has this code."""
        self.codes[row] = code
        self._asked[row] = False
        self._plans.clear()

    def read(self, tier: Tier, rows: Sequence[int] | None = None) -> dict[int, int]:
        """Make the calls of a tier, for all devices or some; return the rows that are gone, with the code.

        A device is gone if the driver says so, or if none of its fast calls works.
        """
        plan = self._plan(tier, rows) if rows is not None else self._plans.get(tier)
        if plan is None:
            plan = self._plans[tier] = self._plan(tier, None)
        clock, codes, times = self._clock, list[int](), list[float]()
        for calls in plan.calls:
            codes += [call(*arguments) for call, arguments in calls]
            times.append(clock())
        returned = np.array(codes, dtype=np.int32)
        self.codes.flat[plan.places] = returned
        if tier == "fast":
            self.times[plan.rows] = times
        if not (self._look_within(tier) or returned.any()):
            return {}
        np.clip(self.codes, 0, CODES - 1, out=self.codes)  # what a later library may say is a fault
        return self._judge(tier, plan.rows)

    def write(self, snapshot: Snapshot) -> None:
        """Write what was read last into a snapshot, values and states."""
        columns = [snapshot.layout.columns[metric] for metric in (*COLUMNS, "remapped_rows")]
        for metric, column in zip(COLUMNS, columns, strict=False):
            np.multiply(self._views[metric], COLUMNS[metric][2], out=snapshot.values[:, column])
        remapped = self.records["remapped"]
        np.add(remapped[:, 0], remapped[:, 1], out=snapshot.values[:, columns[-1]])
        snapshot.states[:, columns] = STATES[self.codes[:, METRIC_PLACES]]

    @property
    def without_memory(self) -> NDArray[np.bool_]:
        """Shape (devices,): whether the driver says that it has no memory of its own."""
        place = PLACE["memory"]
        known = self._functions[place] is not None
        return np.asarray((self.codes[:, place] == UNSUPPORTED) & known)

    def faults(self) -> dict[int, int]:
        """Return the devices that are there of which a call failed in this or an earlier tick, and with what code."""
        failed = IS_FAULT[self.codes] & self._asked
        return {int(row): int(self.codes[row][failed[row]][0]) for row in np.flatnonzero(failed.any(axis=1))}

    def counters(self) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int32]]:
        """Return the link counters, how many bits each has, and their codes: PCIe in and out, NVLink in and out."""
        bits = np.where(np.stack(self._types, axis=1) == NARROW_TYPE, 32, 64)
        codes = self.codes[:, [PLACE[call] for call, _ in COUNTERS]]
        return np.stack(self._counts, axis=1), bits, codes

    def _prepare(self) -> None:
        """Write into the records what the driver reads from them."""
        self.records["memory"]["version"], self.records["temperature"]["version"] = MEMORY_VERSION, CELSIUS_VERSION
        for call in CALLS:
            for place, (number, scope) in enumerate(call.fields):
                field = self.records[call.key][f"f{place}"]
                field["id"], field["scope"] = number, scope

    def _plan(self, tier: Tier, rows: Sequence[int] | None) -> _Plan:
        places = [place for place, call in enumerate(CALLS) if call.tier == tier]
        wanted = [row for row in (range(len(self.records)) if rows is None else rows) if self._asked[row, places].any()]
        asked = {row: [place for place in places if self._asked[row, place]] for row in wanted}
        calls = [[(self._functions[p], self._arguments[row][p]) for p in asked[row]] for row in wanted]
        flat = [row * len(CALLS) + place for row in wanted for place in asked[row]]
        return _Plan(calls, np.array(wanted, dtype=np.intp), np.array(flat, dtype=np.intp))  # type: ignore[arg-type]

    def _look_within(self, tier: Tier) -> bool:
        """Take over the codes that stand inside field values; tell whether any is not 0."""
        seen = False
        for place, call in enumerate(CALLS):
            if call.tier != tier or not call.fields:
                continue
            answer = self.records[call.key]
            inner = np.maximum.reduce([answer[f"f{n}"]["code"] for n in range(len(call.fields))])
            if inner.any():
                self.codes[:, place] = np.where(self.codes[:, place] == 0, inner, self.codes[:, place])
                seen = True
        return seen

    def _judge(self, tier: Tier, rows: NDArray[np.intp]) -> dict[int, int]:
        """Return the rows that are gone; of the others, stop asking what they never answer."""
        places = np.array([place for place, call in enumerate(CALLS) if call.tier == tier])
        codes, asked = self.codes[np.ix_(rows, places)], self._asked[np.ix_(rows, places)]
        faults = IS_FAULT[codes] & asked
        gone = (IS_GONE[codes] & asked).any(axis=1)
        if tier == "fast":
            gone |= faults.any(axis=1) & (faults == asked).all(axis=1)
        # An argument that one call of many refuses is a reading that this GPU does not have.
        never = asked & (IS_NEVER[codes] | IS_INVALID[codes]) & ~gone[:, None]
        if never.any():
            self.codes[np.ix_(rows, places)] = np.where(never & (codes == INVALID), UNSUPPORTED, codes)
            self._asked[np.ix_(rows, places)] = asked & ~never
            self._plans.clear()
        return {int(row): int(codes[at][faults[at]][0]) for at, row in enumerate(rows) if gone[at]}


def _view(records: NDArray[Any], call: str, part: str) -> NDArray[Any]:
    view = records[call]
    for name in part.split(".") if part else ():
        view = view[name]
    return view


def _offset(call: Call) -> int:
    assert RECORD.fields is not None
    return int(RECORD.fields[call.key][1])


def _arguments(call: Call, pointer: ctypes.c_void_p, address: int) -> tuple[Any, ...]:
    return (pointer, *call.before, *(ctypes.c_void_p(address + part) for part in call.parts))
