"""Readings of GPUs, MIG instances and hosts out of what an exporter tells.

A value that cannot be one (NaN, DCGM's marks for "blank", a percentage of four billion) is left out and noted; what
an exporter repeats for every MIG instance goes to the GPU, once. It does not know where the samples came from.

>>> told = {"DCGM_FI_DEV_POWER_USAGE": [Sample({"gpu": "0", "Hostname": "n1", "modelName": "H100"}, 351.0)]}
>>> for gpu, values in read(told, Place("lab", "rack 1", "n1")).items():
...     print(gpu.id, gpu.name, values)
lab/rack 1/n1/gpu 0 H100 {'power': 351.0}
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.prometheus.device_names import DCGM, GPU_EXPORTERS, HOST_EXPORTERS, SUMS, Exporter
from aifactory_lab.telemetry.prometheus.exposition import Sample
from aifactory_lab.telemetry.readings import Entity

Told: TypeAlias = Mapping[str, Sequence[Sample]]
Found: TypeAlias = dict[Entity, dict[str, float]]
# DCGM's "blank", "not found", "not supported", "not permitted": the first of each kind and the 15 numbers after it
# (NVIDIA/DCGM, dcgm_structs.h). As float64 the 64-bit ones all read the same.
BLANKS = ((0x7FFFFFF0, 0x7FFFFFFF), (2.0**47, 2.0**47 + 15), (2.0**63 - 1024, math.inf))
PARTS = {part for parts in SUMS.values() for part in parts} | {"memory_available"}


class Place(NamedTuple):
    """Where an endpoint stands, for what its labels do not say."""

    site: str
    rack: str
    node: str

    def of(self, labels: Mapping[str, str], node: Sequence[str]) -> "Place":
        """Return the place that labels name, this one where they do not."""
        site, rack = labels.get("site") or self.site, labels.get("rack") or self.rack
        return Place(site, rack, first(labels, node) or self.node)


def read(told: Told, place: Place, notes: list[str] | None = None) -> Found:
    """Return the values of every GPU, instance and host, by entity; what was left out is added to `notes`."""
    found: Found = {}
    by_id: dict[str, Entity] = {}
    strange: dict[str, list[float]] = {}
    for exporter in (*GPU_EXPORTERS, *HOST_EXPORTERS):
        entities: dict[tuple[int, bool], Entity | None] = {}  # the labels of a GPU are one object for all its metrics
        for name, column in exporter.columns.items():
            for sample in told.get(name, ()):
                key = (id(sample.labels), not column.instance)
                if key not in entities:
                    entities[key] = identify(sample.labels, place, exporter, whole=key[1])
                if (named := entities[key]) is None:
                    continue
                entity, value = by_id.setdefault(named.id, named), sample.value * column.scale
                if sound(column.metric, sample.value, value):
                    found.setdefault(entity, {}).setdefault(column.metric, value)
                elif math.isfinite(sample.value):
                    strange.setdefault(name, []).append(sample.value)
    if notes is not None:
        notes += [f"{len(values)} × {name} left out: {values[0]:g} cannot be" for name, values in strange.items()]
    return {entity: _summed(values) for entity, values in found.items()}


def identify(
    labels: Mapping[str, str], place: Place, exporter: Exporter = DCGM, *, whole: bool = False
) -> Entity | None:
    """Return the entity that labels name; `None` if they name none.

    With `whole` it is the GPU, where a MIG instance is named; nvitop's instances ("1:0") are then nobody, since
    nvitop tells of their GPU too.
    """
    where = place.of(labels, exporter.node)
    if not exporter.index:
        return Entity(tuple(where), "host")
    index, _, inner = first(labels, exporter.index).partition(":")
    if not index or (whole and inner):
        return None
    gpu = (*where, f"gpu {index}" if index.isdigit() else index[:12])
    name, uid = first(labels, exporter.name), first(labels, exporter.uid)
    instance = first(labels, exporter.instance)
    if whole or not (instance or inner):
        return Entity(gpu, "gpu", name, uid)
    name, uid = first(labels, exporter.profile) or name, f"{uid}/{instance}" if uid and instance else uid
    return Entity((*gpu, f"mig {instance or inner}"), "mig", name, uid)


def sound(metric: str, told: float, value: float) -> bool:
    """Tell whether a value can be one.

    Percentages beyond 100 come from a race in DCGM (NVIDIA/DCGM issue 199); blanks are in dcgm-exporter's output
    wherever a GPU lacks a field (NVIDIA/gpu-monitoring-tools issue 97).
    """
    if not math.isfinite(told) or any(low <= told <= high for low, high in BLANKS):
        return False
    return metric in PARTS or METRICS[metric].unit != "%" or -0.5 <= value <= 100.5


def first(labels: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the first label that is there."""
    return next((labels[name] for name in names if labels.get(name)), "")


def _summed(values: dict[str, float]) -> dict[str, float]:
    """Add up what an exporter tells in parts."""
    used, free = values.get("memory_used"), values.get("memory_free")
    if used is not None and free is not None:
        values.setdefault("memory_total", used + free + values.get("memory_reserved", 0.0))
    if "memory_available" in values and "memory_total" in values:
        values.setdefault("memory_used", values["memory_total"] - values["memory_available"])
    if rows := [values[part] for part in SUMS["remapped_rows"] if part in values]:
        values.setdefault("remapped_rows", sum(rows))
    return {name: value for name, value in values.items() if name in METRICS}
