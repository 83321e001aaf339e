"""Layouts and facts as JSON documents, and back: how they travel between processes and machines.

Numbers travel as arrays beside them. Nothing here knows what carries the documents, or what is in them.

>>> from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Process
>>> layout = Layout((Entity(("lab", "gpu 0"), "gpu", "H100", "GPU-1"),), ("busy",), "simulated", "a stand-in")
>>> read_layout(write_layout(layout)) == layout
True
>>> read_facts(write_facts({"lab/gpu 0": Facts((Process(7, "python"),))}))["lab/gpu 0"].processes[0].name
'python'
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from aifactory_lab import decoding
from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.readings import Entity, Facts, Kind, Layout, Origin

__all__ = ["read_facts", "read_layout", "sound", "write_facts", "write_layout"]


@dataclass(frozen=True)
class _Layout:
    """A layout as it travels."""

    entities: tuple[tuple[tuple[str, ...], Kind, str, str], ...]
    metrics: tuple[str, ...]
    origin: Origin
    label: str


def write_layout(layout: Layout) -> bytes:
    """Return a layout as JSON."""
    return orjson.dumps(
        {
            "entities": [[entity.path, entity.kind, entity.name, entity.uid] for entity in layout.entities],
            "metrics": layout.metrics,
            "origin": layout.origin,
            "label": layout.label,
        }
    )


def read_layout(text: bytes | str) -> Layout:
    """Return the layout that was written.

    Raises
    ------
    TelemetryError
        If the document is damaged.
    """
    try:
        found = decoding.decode(_Layout, text)
        entities = tuple(Entity(*told) for told in found.entities)
        return sound(Layout(entities, found.metrics, found.origin, found.label))
    except ValueError as error:
        msg = f"this document is no layout: {error}"
        raise TelemetryError(msg) from error


def sound(layout: Layout) -> Layout:
    """Return a layout that came from elsewhere, if everything in it has a place and a name of its own.

    Raises
    ------
    ValueError
        If an entity stands nowhere, or two entities or metrics have the same name.
    """
    if not all(len(entity.path) > (entity.kind == "mig") for entity in layout.entities):
        raise ValueError("an entity without a path, or a MIG instance without its GPU")
    if (len(layout.rows), len(layout.columns)) != layout.shape:
        raise ValueError("two entities or two metrics of the same name")
    return layout


def write_facts(facts: Mapping[str, Facts]) -> bytes:
    """Return facts by entity id as JSON."""
    return orjson.dumps({entity: _facts(of) for entity, of in facts.items()})


def read_facts(text: bytes | str) -> dict[str, Facts]:
    """Return the facts that were written.

    Raises
    ------
    TelemetryError
        If the document is damaged.
    """
    try:
        return decoding.decode(dict[str, Facts], text)
    except ValueError as error:
        msg = f"this document holds no facts: {error}"
        raise TelemetryError(msg) from error


def _facts(of: Facts) -> dict[str, Any]:
    return {"processes": of.processes, "health": of.health, "details": dict(of.details)}
