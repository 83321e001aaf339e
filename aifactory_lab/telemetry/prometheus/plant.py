"""Readings of a whole plant out of what another notebook's exporter tells: hosts, workers, services and stations.

The same names both ways: `exporter` writes them, this reads them back, with what is lost there lost here. GPUs come
by dcgm-exporter's names, which `devices` reads. It does not know where the samples came from.

>>> from aifactory_lab.telemetry.prometheus.exposition import Sample
>>> told = {"aifactory_station_made_total": [Sample({"station": "etl", "unit": "rows"}, 4e6)]}
>>> for entity, values in read(told, Place("lab", "rack 1", "n1")).items():
...     print(entity.id, values)
factory/etl {'made': 4000000.0}
"""

import math
from collections.abc import Iterator, Mapping
from typing import get_args

from aifactory_lab.telemetry.prometheus.device_names import DCGM, NODE
from aifactory_lab.telemetry.prometheus.devices import Found, Place, Told, identify
from aifactory_lab.telemetry.prometheus.plant_names import UP, name_of, told
from aifactory_lab.telemetry.readings import Entity, Kind

KINDS: tuple[Kind, ...] = get_args(Kind)


def read(samples: Told, place: Place) -> Found:
    """Return the values of everything the plant has, by entity."""
    found: Found = {}
    by_id: dict[str, Entity] = {}
    for name, meanings in told().items():
        for sample in samples.get(name, ()):
            for kind, metric in meanings:
                meant = name_of(kind, metric)
                entity = _entity(kind, sample.labels, place)
                if entity is None or meant.quantile != sample.labels.get("quantile", "") or entity.kind != kind:
                    continue
                if math.isfinite(sample.value):
                    entity = by_id.setdefault(entity.id, entity)
                    found.setdefault(entity, {})[metric] = sample.value * meant.scale
    return found


def states(samples: Told, place: Place) -> Iterator[tuple[Entity, bool]]:
    """Return every entity the plant tells of, and whether it is up: one that is lost there has no other reading."""
    for sample in samples.get(UP, ()):
        kind = next((kind for kind in KINDS if kind == sample.labels.get("kind")), None)
        entity = _entity(kind, sample.labels, place) if kind else None
        if entity is not None:
            yield entity, sample.value > 0


def units(samples: Told) -> dict[str, str]:
    """Return what each station makes: ``{"etl": "rows"}``."""
    rows = samples.get("aifactory_station_made_total", ())
    return {row.labels.get("station", ""): row.labels["unit"] for row in rows if row.labels.get("unit")}


def _entity(kind: Kind, labels: Mapping[str, str], place: Place) -> Entity | None:
    if kind in ("gpu", "mig"):
        return identify(labels, place, DCGM)
    if kind == "station":
        station = labels.get("station", "")
        return Entity(("factory", station), "station", labels.get("name", station)) if station else None
    where = place.of(labels, NODE.node)
    if kind == "host":
        return Entity(tuple(where), "host")
    unit = labels.get(kind, "")
    return Entity((*where, unit), kind, labels.get("name", ""), labels.get("endpoint", "")) if unit else None
