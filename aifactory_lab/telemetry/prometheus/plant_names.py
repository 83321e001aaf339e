"""What the plant's own exporter calls its metrics, for what has no standard name: one rule, used both ways.

GPUs have dcgm-exporter's names and hosts, where the meaning fits, node_exporter's (`device_names`); the rest is
``aifactory_<kind>_<metric>_<unit>`` in base units, counters with ``_total``. What the exporter writes so, the
Prometheus source of another notebook reads back. Nothing here reads anything.

>>> name_of("service", "latency_p95")
PlantName(name='aifactory_service_latency_seconds', scale=1.0, quantile='0.95', counter=False)
>>> name_of("host", "busy")
PlantName(name='aifactory_host_busy_ratio', scale=100.0, quantile='', counter=False)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from aifactory_lab.telemetry.metrics import FLEET, GPU, HOST, METRICS, SERVICE, STATION, TRAINING
from aifactory_lab.telemetry.prometheus.device_names import DCGM
from aifactory_lab.telemetry.readings import Entity, Kind

UP = "aifactory_entity_up"
# Unit of ours → what the name ends with, and the factor from the told value to ours (base units and ratios, as
# prometheus.io/docs/practices/naming asks).
UNITS = {
    "%": ("_ratio", 100.0),
    "B": ("_bytes", 1.0),
    "B/s": ("_bytes_per_second", 1.0),
    "W": ("_watts", 1.0),
    "J": ("_joules", 1.0),
    "°C": ("_celsius", 1.0),
    "MHz": ("_hertz", 1e-6),
    "s": ("_seconds", 1.0),
    "/s": ("_per_second", 1.0),
    "rows/s": ("_per_second", 1.0),
    "tokens/s": ("_per_second", 1.0),
    "": ("", 1.0),
}
# A station's rate is that of what it made; no unit twice; a learning rate is no rate per second.
WORDS = {"rate": "made", "seconds": "", "joules": "", "learning": "learning_rate"}
# What has a standard name goes by that.
_DCGM = tuple({column.metric for column in DCGM.columns.values()})
STANDARD: Mapping[Kind, tuple[str, ...]] = {"gpu": _DCGM, "mig": _DCGM, "host": ("memory_total", "memory_used", "load")}
METRICS_OF: Mapping[Kind, tuple[str, ...]] = {
    "gpu": GPU,
    "mig": GPU,
    "host": HOST,
    "worker": tuple(dict.fromkeys((*GPU, *HOST))),
    "service": SERVICE,
    "station": STATION,
    "training": TRAINING,
    "fleet": FLEET,
    "project": FLEET,
}


@dataclass(frozen=True)
class PlantName:
    """A name, the factor from what is told to our unit, the quantile label, and whether it only grows."""

    name: str
    scale: float
    quantile: str = ""
    counter: bool = False


@cache
def name_of(kind: Kind, metric: str) -> PlantName:
    """Return the name of a metric of a kind of entity."""
    of = METRICS[metric]
    words, _, share = metric.removesuffix("_rate").partition("_p")
    quantile = f"{int(share) / 100:g}" if share.isdigit() else ""
    words = words if quantile else metric.removesuffix("_rate")
    end, scale = UNITS[of.unit]
    total = "_total" if of.kind == "counter" else ""
    name = "_".join(part for part in ("aifactory", kind, WORDS.get(words, words)) if part)
    return PlantName(name + end + total, scale, quantile, counter=bool(total))


@cache
def told() -> dict[str, tuple[tuple[Kind, str], ...]]:
    """Return every name of the plant's own → the kind and the metrics it may be (one per quantile)."""
    names: dict[str, tuple[tuple[Kind, str], ...]] = {}
    for kind in METRICS_OF:
        for metric in METRICS_OF[kind]:
            if metric not in STANDARD.get(kind, ()):
                name = name_of(kind, metric).name
                names[name] = (*names.get(name, ()), (kind, metric))
    return names


def known() -> dict[str, str]:
    """Return every name an endpoint may use → the name in the tables."""
    return {name: name for name in (*told(), UP)}


def split(entity: Entity) -> tuple[str, str, str, str]:
    """Return site, rack, node and unit of an entity; a shorter path lacks the outer ones.

    >>> split(Entity(("lab", "rack 1", "n1", "gpu 0", "mig 3"), "mig"))
    ('lab', 'rack 1', 'n1', 'gpu 0 mig 3')
    >>> split(Entity(("factory", "etl"), "station"))
    ('', '', 'factory', 'etl')
    """
    path = (*entity.path, "") if entity.kind == "host" else entity.path
    if len(path) < 4:
        path = (*("",) * (4 - len(path)), *path)
    return path[0], path[1], path[2], " ".join(path[3:])
