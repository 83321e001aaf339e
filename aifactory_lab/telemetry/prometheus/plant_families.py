"""Everything the running samplers read, as metric families for Prometheus, in the names that dashboards expect.

A GPU speaks dcgm-exporter's language, a host node_exporter's where the meaning fits, the rest the plant's own. A
value that is unsupported is absent; an entity that is lost or stale has ``aifactory_entity_up 0`` and nothing else.
It does not know about HTTP.

>>> from aifactory_lab.telemetry.readings import Layout, Snapshot
>>> layout = Layout((Entity(("lab", "rack 1", "n1", "gpu 0"), "gpu", "H100"),), ("busy", "power"), "simulated")
>>> families = Families()
>>> families.add(Snapshot.blank(layout, time=0.0).put("lab/rack 1/n1/gpu 0", busy=97.0))
>>> [(family.name, family.samples[0].value) for family in families]
[('aifactory_entity_up', 1.0), ('DCGM_FI_DEV_GPU_UTIL', 97.0)]
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.production import Production
from aifactory_lab.telemetry.prometheus.device_names import DCGM, MIB
from aifactory_lab.telemetry.prometheus.plant_names import STANDARD, UP, name_of, split
from aifactory_lab.telemetry.readings import Entity, Kind, Layout, Snapshot, State
from aifactory_lab.telemetry.sampler import Sampler

HOST_NAMES = {"memory_total": "node_memory_MemTotal_bytes", "load": "node_load1"}
# Told as a difference, where both are known: what is left over → what to take from what, the name, and its scale.
FREE: Mapping[Kind, tuple[str, float]] = {
    "gpu": ("DCGM_FI_DEV_FB_FREE", MIB),
    "mig": ("DCGM_FI_DEV_FB_FREE", MIB),
    "host": ("node_memory_MemAvailable_bytes", 1.0),
}
UNTYPED = "unknown"  # DCGM's counters lack the "_total" of a counter, and are wanted under their own name


@dataclass(frozen=True)
class Told:
    """How a metric of a kind of entity is told."""

    name: str
    scale: float
    type: str
    help: str
    labels: tuple[tuple[str, str], ...] = ()


ANSWERS = Told(UP, 1.0, "gauge", "Whether it answers: 0 for what is lost or stale, which tells nothing else")


class Families:
    """Metric families under construction; the first to tell a series is believed."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self._seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._families.values())

    def add(self, snapshot: Snapshot, units: Mapping[str, str] | None = None) -> None:
        """Tell every reading of a snapshot.

        Parameters
        ----------
        units
            What the stations make, by entity id.
        """
        layout, states = snapshot.layout, snapshot.states
        lost = ((states == State.LOST) | (states == State.STALE)).any(axis=1)
        up = (states == State.VALUE).any(axis=1) | ~lost
        for row, entity in enumerate(layout.entities):
            labels = labels_of(entity, layout)
            self.put(ANSWERS, {"kind": entity.kind, **labels}, float(up[row]))
            if up[row]:
                self._readings(entity, labels, snapshot, row, (units or {}).get(entity.id, ""))

    def put(self, told: Told, labels: Mapping[str, str], value: float) -> None:
        """Add one sample, unless its series is there already."""
        labels = {name: text for name, text in {**labels, **dict(told.labels)}.items() if text}
        series = (told.name, tuple(sorted(labels.items())))
        if series in self._seen:
            return
        self._seen.add(series)
        family = self._families.get(told.name)
        if family is None:
            name = told.name.removesuffix("_total") if told.type == "counter" else told.name
            family = self._families[told.name] = Metric(name, told.help, told.type)
        family.add_sample(told.name, labels, value)

    def _readings(self, entity: Entity, labels: Mapping[str, str], snapshot: Snapshot, row: int, unit: str) -> None:
        values = dict(zip(snapshot.layout.metrics, snapshot.values[row].tolist(), strict=True))
        known = {name: value for name, value in values.items() if name in METRICS and not math.isnan(value)}
        for metric, value in known.items():
            if (told := told_as(entity.kind, metric)) is not None:
                more = {"unit": unit} if entity.kind == "station" and metric == "made" else {}
                self.put(told, {**labels, **more}, value / told.scale)
        if entity.kind in FREE and "memory_total" in known and "memory_used" in known:
            name, scale = FREE[entity.kind]
            told = Told(name, scale, "gauge", "memory that is left, in the units of its exporter")
            self.put(told, labels, (known["memory_total"] - known["memory_used"]) / scale)


class PlantCollector(Collector):
    """What prometheus_client asks at every scrape.

    Parameters
    ----------
    samplers
        Returns those that run now.
    """

    def __init__(self, samplers: Callable[[], Sequence[Sampler]]) -> None:
        self._samplers = samplers

    def collect(self) -> Iterator[Metric]:
        """Return every family, of what is known now."""
        families = Families()
        for sampler in self._samplers():
            if (latest := sampler.latest) is not None:
                families.add(latest, _units(sampler, latest.layout))
            cost, who = sampler.cost, {"source": sampler.key}
            families.put(SECONDS, who, cost.microseconds / 1e6)
            families.put(SAMPLES, who, cost.samples)
            families.put(DROPPED, who, cost.dropped)
        yield from families


SECONDS = Told("aifactory_sampler_seconds", 1.0, "gauge", "What one sample takes, the median of the last 120")
SAMPLES = Told("aifactory_sampler_samples_total", 1.0, "counter", "Samples taken")
DROPPED = Told("aifactory_sampler_dropped_total", 1.0, "counter", "Samples that came too late and were left out")


@cache
def told_as(kind: Kind, metric: str) -> Told | None:
    """Return how a metric of a kind of entity is told; `None` if it has no name of its own (it is part of another).

    A MIG instance tells only what it has for itself: its GPU's power under its name would be counted twice.
    """
    of = METRICS[metric]
    text = f"{of.label[0].upper()}{of.label[1:]}"
    if kind in ("gpu", "mig") and metric in STANDARD[kind]:
        names = ((n, c) for n, c in DCGM.columns.items() if c.metric == metric and (c.instance or kind == "gpu"))
        name, column = next(names, ("", None))
        help_ = f"{text}, in dcgm-exporter's name and unit"
        return Told(name, column.scale, UNTYPED if of.kind == "counter" else "gauge", help_) if column else None
    if metric in STANDARD.get(kind, ()):
        name = HOST_NAMES.get(metric, "")
        return Told(name, 1.0, "gauge", f"{text}, in node_exporter's name and unit") if name else None
    own = name_of(kind, metric)
    text = re.sub(r" p\d\d$", "", text) if own.quantile else text
    quantile = (("quantile", own.quantile),) if own.quantile else ()
    kind_of = "summary" if quantile else "counter" if own.counter else "gauge"
    return Told(own.name, own.scale, kind_of, text, quantile)


def labels_of(entity: Entity, layout: Layout) -> dict[str, str]:
    """Return what identifies an entity, in its exporter's labels; empty ones count as absent."""
    site, rack, node, unit = split(entity)
    origin = "" if layout.origin == "measured" else layout.origin
    if entity.kind == "station":
        return {"station": unit, "origin": origin}
    where = {"Hostname": node, "site": site, "rack": rack, "origin": origin}
    if entity.kind in ("gpu", "mig"):
        return _gpu(entity, layout) | where
    if entity.kind == "service":
        return {"endpoint": entity.uid or entity.id, "service": unit, "name": entity.name, **where}
    return {entity.kind: unit, "name": entity.name, **where} if unit else where


def _gpu(entity: Entity, layout: Layout) -> dict[str, str]:
    """Return the labels of dcgm-exporter; a MIG instance has its GPU's, and its own two."""
    path = entity.path if entity.kind == "gpu" else entity.path[:-1]
    row = layout.rows.get("/".join(path))
    gpu = layout.entities[row] if row is not None else Entity(path, "gpu", "", entity.uid.partition("/")[0])
    index = _number(path[-1])
    labels = {"gpu": index, "UUID": gpu.uid, "modelName": gpu.name}
    if index.isdigit():
        labels["device"] = f"nvidia{index}"
    if entity.kind == "mig":
        labels |= {"GPU_I_ID": _number(entity.path[-1]), "GPU_I_PROFILE": entity.name.rpartition("MIG ")[2]}
    return labels


def _number(label: str) -> str:
    """Return the number that a label ends with, the label if it has none: "3" of "gpu 3"."""
    found = re.search(r"(\d+)$", label)
    return found[1] if found else label


def _units(sampler: Sampler, layout: Layout) -> dict[str, str]:
    """Return what the stations of a sampler make."""
    stations = [entity for entity in layout.entities if entity.kind == "station"]
    units = {}
    for entity in stations:
        facts = sampler.facts.get(entity.id)
        visit = sampler.source.last(entity.path[-1]) if isinstance(sampler.source, Production) else None
        units[entity.id] = visit.unit if visit else facts.details.get("unit", "") if facts else ""
    return units
