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
from typing import Any

import orjson

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.readings import Entity, Facts, Finding, Layout, Process

__all__ = ["read_facts", "read_layout", "write_facts", "write_layout"]


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
    found = _read(text)
    try:
        entities = tuple(Entity(tuple(path), *rest) for path, *rest in found["entities"])
        return Layout(entities, tuple(found["metrics"]), found["origin"], found["label"])
    except (KeyError, TypeError, ValueError) as error:
        msg = f"this document is no layout: {error!r}"
        raise TelemetryError(msg) from error


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
        return {
            entity: Facts(
                tuple(Process(**process) for process in of["processes"]),
                tuple(Finding(**finding) for finding in of["health"]),
                of["details"],
            )
            for entity, of in _read(text).items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"this document holds no facts: {error!r}"
        raise TelemetryError(msg) from error


def _facts(of: Facts) -> dict[str, Any]:
    return {"processes": of.processes, "health": of.health, "details": dict(of.details)}


def _read(text: bytes | str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError as error:
        msg = f"a document of {len(text)} characters is damaged: {error}"
        raise TelemetryError(msg) from error
