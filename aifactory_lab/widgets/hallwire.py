"""How a hall and its values travel to the page: names as text, places and numbers as binary buffers.

A hall is ``extent``, ``racks``, ``coolers``, ``lines``. Of racks and coolers: ``names``; ``boxes``, six float32 each
(x and y of the middle, size along x and along y, height, foot above the floor; metres); ``fronts``, uint8 (0 east, 1
north, 2 west, 3 south); ``kinds``, uint8, places in ``kindNames``. Of racks also ``ids``, ``gpus`` (uint16) and
``rows`` (uint16, places in ``rowNames``). Lines of a system and a width travel together: ``system``, ``drop``
(whether they come down), ``width``, ``lengths`` (uint32, points of each), ``points`` (three float32 each).

Values are ``measures``, ``states`` (uint8, places in `figures.rackvalues.STATES`), ``notes`` (by place), ``gpusUp``
(float32). A measure is ``name``, ``label``, ``unit``, ``low`` and ``high`` of its scale, ``numbers``: float32 a rack,
NaN where it is not known.

>>> from aifactory_lab.twin import hall, plant
>>> wire = of_hall(hall.layout(plant.Plant(gpus=144, chassis="gb200-nvl72")))
>>> len(wire["racks"]["boxes"]) == 4 * 6 * len(wire["racks"]["names"])
True
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from aifactory_lab.figures.rackvalues import MEASURES, STATES, Limits
from aifactory_lab.twin.hall import Hall

NAMES = {"gpu": "rack", "network": "network rack", "cdu": "CDU", "fan": "fan unit"}
FLOAT = "<f4"


def of_hall(hall: Hall) -> dict[str, Any]:
    """Return a hall for the page."""
    racks, coolers = hall.racks, hall.coolers
    rows = racks["row"].unique(maintain_order=True)
    row = racks["row"].replace_strict(rows, range(rows.len()), return_dtype=pl.UInt16)
    length, breadth, height = hall.extent
    return {
        "extent": [0.0, 0.0, float(length), float(breadth), float(height)],
        "racks": _boxes(racks, "rack")
        | {
            "ids": racks["rack"].to_list(),
            "rows": row.to_numpy().astype("<u2").tobytes(),
            "rowNames": [str(name) for name in rows],
            "gpus": racks["gpus"].to_numpy().astype("<u2").tobytes(),
        },
        "coolers": _boxes(coolers, "cooler"),
        "lines": [*_lines(hall.pipes), *_lines(hall.trays), *_lines(hall.drops(), drop=True)],
    }


def of_values(full: pl.DataFrame, limits: Limits) -> dict[str, Any]:
    """Return values as `figures.rackvalues.told` gives them for the page, coloured between `limits`, by measure."""
    measures = [
        {
            "name": one.name,
            "label": one.label,
            "unit": one.unit,
            "low": limits[one.name][0],
            "high": limits[one.name][1],
            "numbers": _numbers(full[one.name]),
        }
        for one in MEASURES.values()
    ]
    states = full["state"].replace_strict(STATES, range(len(STATES)), return_dtype=pl.UInt8)
    extra = {"gpusUp": _numbers(full["gpus_up"])} if "gpus_up" in full.columns else {}
    return {"measures": measures, "states": states.to_numpy().tobytes(), "notes": _notes(full), **extra}


def _boxes(frame: pl.DataFrame, number: str) -> dict[str, Any]:
    kinds = frame["kind"].unique(maintain_order=True)
    front = np.rint(frame["front"].to_numpy() / 90).astype(int) % 4
    along, deep = frame["width"].to_numpy(), frame["depth"].to_numpy()
    sideways = front % 2 == 0  # those that face east or west stand across
    sizes = np.where(sideways, deep, along), np.where(sideways, along, deep)
    middle, tall = frame.select("x", "y").to_numpy().T, frame["height"].to_numpy()
    boxes = [*middle, *sizes, tall, np.zeros(frame.height)]
    return {
        "names": [f"{NAMES.get(kind, kind)} {name}" for kind, name in zip(frame["kind"], frame[number], strict=True)],
        "boxes": np.stack(boxes, axis=1).astype(FLOAT).tobytes(),
        "fronts": front.astype("u1").tobytes(),
        "kinds": frame["kind"].replace_strict(kinds, range(kinds.len()), return_dtype=pl.UInt8).to_numpy().tobytes(),
        "kindNames": kinds.to_list(),
    }


def _lines(frame: pl.DataFrame, *, drop: bool = False) -> list[dict[str, Any]]:
    """Return lines, those of a system and a width together: a page of 10,000 hoses is otherwise 10,000 messages."""
    wide = "width" if "width" in frame.columns else "diameter"
    found = []
    for (system, width), own in frame.group_by("system", wide, maintain_order=True) if frame.height else ():
        points, lengths = (
            own["points"].explode(empty_as_null=False).to_numpy().astype(FLOAT),
            own["points"].list.len().to_numpy(),
        )
        line: Mapping[str, Any] = {"system": system, "drop": drop, "width": float(width or 0.05)}
        found.append({**line, "lengths": lengths.astype("<u4").tobytes(), "points": points.tobytes()})
    return found


def _numbers(series: pl.Series) -> bytes:
    return series.fill_null(float("nan")).to_numpy().astype(FLOAT).tobytes()


def _notes(full: pl.DataFrame) -> dict[str, str]:
    """Return what is said of racks, by their place."""
    if "note" not in full.columns:
        return {}
    return {str(place): note for place, note in enumerate(full["note"]) if note}
