"""A hall read again from OpenUSD: what stands where, also after somebody moved it in another tool.

>>> import tempfile
>>> from aifactory_lab.twin import hall
>>> from aifactory_lab.twin.plant import Plant
>>> from aifactory_lab.twin.usd.stage import export
>>> made = hall.layout(Plant.about(1000, "gb200-nvl72"))
>>> path = export(made, Path(tempfile.mkdtemp()) / "hall")
>>> read(path).racks.equals(made.racks)
True
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aifactory_lab.errors import TwinError, require
from aifactory_lab.twin.hall import Aisle, Hall
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.supply import Converter
from aifactory_lab.twin.usd import stage as writing
from aifactory_lab.twin.usd.curves import MAIN

Tf, Usd, UsdGeom = (require(f"pxr.{name}", extra="twin") for name in ("Tf", "Usd", "UsdGeom"))
PREFIX = writing.PREFIX
ORDER = ("kind", "gpus", "switches", "row", "x", "y", "width", "depth", "height", "front")
INTEGERS = ("rack", "cooler", "row", "gpus", "switches", "front")
Record = dict[str, Any]


def read(path: Path | str) -> Hall:
    """Return the hall of an export: a folder, or the layer in it.

    Raises
    ------
    TwinError
        If there is none, or it is not one of ours.
    """
    stage = _open(Path(path))
    record = stage.GetRootLayer().customLayerData.get("aifactory_lab")
    if record is None:
        msg = f"{path} is OpenUSD, but no hall of ours: it has no record of its plant"
        raise TwinError(msg, mend="usd.export(hall, folder)")
    about = json.loads(record["plant"])
    plant = Plant(**(about | {"ups": Converter(**about["ups"])}))
    pipes = pl.DataFrame(list(_lines(stage, "Pipes")), schema=_schema("diameter", loop=pl.String), orient="row")
    trays = pl.DataFrame(list(_lines(stage, "Trays")), schema=_schema("width"), orient="row")
    aisle = Aisle(**json.loads(record["aisle"]))
    racks, coolers = (_things(stage, key) for key in ("rack", "cooler"))
    return Hall(plant, aisle, racks, coolers, pipes, trays, tuple(record["extent"]))


def read_values(path: Path | str) -> pl.DataFrame:
    """Return what the racks of an export do, as it was given: with ``seconds`` if there are several moments.

    Raises
    ------
    TwinError
        If there is no hall.
    """
    stage = _open(Path(path))  # a prim lives no longer than its stage
    group = stage.GetPrimAtPath("/Hall/Racks")
    tell = _arrays if group.IsA(UsdGeom.PointInstancer) else _attributes
    told: dict[str, tuple[list[int], list[float | None], list[Any]]] = {}
    for name, seconds, racks, values in tell(group):
        column = told.setdefault(name, ([], [], []))
        column[0].extend(racks)
        column[1].extend([seconds] * len(racks))
        column[2].extend(values)
    frame = pl.DataFrame(schema={"rack": pl.Int64, "seconds": pl.Float64})
    for name, (racks, moments, values) in told.items():
        given = pl.DataFrame({"rack": racks, "seconds": pl.Series(moments, dtype=pl.Float64), name: values})
        known = given.filter(_known(pl.col(name), given[name].dtype))
        frame = frame.join(known, on=["rack", "seconds"], how="full", coalesce=True, nulls_equal=True)
    frame = frame.sort("seconds", "rack")
    return frame if frame["seconds"].count() else frame.drop("seconds")


def _known(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Whether a value was given: arrays hold no number, or an empty word, where it was not."""
    return column.is_not_nan() if kind == pl.Float64 else column != "" if kind == pl.String else pl.lit(value=True)


def _open(path: Path) -> Any:
    layer = writing.found(path) if path.is_dir() else path
    if layer is None or not layer.exists():
        msg = f"{path} holds no hall in OpenUSD"
        raise TwinError(msg, mend=f'usd.export(hall, "{path}")')
    try:
        stage = Usd.Stage.Open(str(layer))
        stage.Reload()  # an older one of the same name may be held by somebody
    except Tf.ErrorException as error:
        msg = f"{layer} is no OpenUSD that can be read: {str(error).splitlines()[-1].strip()}"
        raise TwinError(msg, mend=f'usd.export(hall, "{path}")') from error
    return stage


def _things(stage: Any, key: str) -> pl.DataFrame:
    group = stage.GetPrimAtPath(f"/Hall/{writing.GROUPS[key]}")
    rows = list((_instances if group.IsA(UsdGeom.PointInstancer) else _machines)(group, key)) if group else []
    names = [name for name in (key, *ORDER) if key == "rack" or name not in {"gpus", "switches"}]
    kinds = {name: pl.Int64 if name in INTEGERS else pl.String if name == "kind" else pl.Float64 for name in names}
    return pl.DataFrame([{name: row[name] for name in names} for row in rows], schema=kinds).sort(key)


def _size(prim: Any) -> Record:
    """Metres of a machine, of the millimetres that its asset says."""
    said = {name: prim.GetAttribute(f"aif:core:{name}").Get() for name in ("width", "depth", "height")}
    return {name: round(value / 1000, 6) for name, value in said.items()}


def _machines(group: Any, key: str) -> Iterator[Record]:
    for prim in (each for row in group.GetChildren() for each in row.GetChildren()):
        at, turned = (prim.GetAttribute(f"xformOp:{name}").Get() for name in ("translate", "rotateZ"))
        numbers = {name: prim.GetAttribute(f"{PREFIX}{name}").Get() for name in (key, *writing.COLUMNS)}
        yield numbers | _size(prim) | {"x": at[0], "y": at[1], "front": _front(turned)}


def _front(turned: float) -> int:
    return round(turned + 270) % 360


def _instances(group: Any, key: str) -> Iterator[Record]:
    instancer = UsdGeom.PointInstancer(group)
    prototypes = [group.GetStage().GetPrimAtPath(path) for path in instancer.GetPrototypesRel().GetTargets()]
    sizes = [_size(prim) | {"kind": prim.GetName()} for prim in prototypes]
    numbers = {name: group.GetAttribute(f"{PREFIX}{name}").Get() for name in writing.COLUMNS if name != "kind"}
    columns = {name: list(values) for name, values in numbers.items() if values is not None}
    columns |= {key: list(instancer.GetIdsAttr().Get())}
    places, halves = (
        np.asarray(attribute.Get()) for attribute in (instancer.GetPositionsAttr(), instancer.GetProtoIndicesAttr())
    )
    turns = [
        2 * np.degrees(np.arctan2(half.GetImaginary()[2], half.GetReal()))
        for half in instancer.GetOrientationsAttr().Get()
    ]
    for place, (x, y, _) in enumerate(places.tolist()):
        row = {name: values[place] for name, values in columns.items()}
        yield row | sizes[halves[place]] | {"x": x, "y": y, "front": _front(turns[place])}


def _attributes(group: Any) -> Iterator[tuple[str, float | None, list[int], list[Any]]]:
    known = {"rack", *writing.COLUMNS}
    for prim in (each for row in group.GetChildren() for each in row.GetChildren()):
        rack = prim.GetAttribute(f"{PREFIX}rack").Get()
        for attribute in prim.GetAuthoredPropertiesInNamespace(PREFIX.strip(":")):
            name = attribute.GetBaseName()
            if name not in known:
                for seconds in attribute.GetTimeSamples() or [None]:
                    value = attribute.Get() if seconds is None else attribute.Get(seconds)
                    yield name, seconds, [rack], [value]


def _arrays(group: Any) -> Iterator[tuple[str, float | None, list[int], list[Any]]]:
    racks = list(UsdGeom.PointInstancer(group).GetIdsAttr().Get())
    for attribute in group.GetAuthoredPropertiesInNamespace(PREFIX.strip(":")):
        name = attribute.GetBaseName()
        if name not in writing.COLUMNS:
            for seconds in attribute.GetTimeSamples() or [None]:
                yield name, seconds, racks, list(attribute.Get() if seconds is None else attribute.Get(seconds))


def _schema(wide: str, **more: Any) -> dict[str, Any]:
    points = pl.List(pl.Array(pl.Float64, 3))
    return {"system": pl.String} | more | {"row": pl.Int64, wide: pl.Float64, "points": points}


def _lines(stage: Any, name: str) -> Iterator[tuple[Any, ...]]:
    """Lines of pipes or trays, in the order of `hall.Hall`."""
    for prim in stage.GetPrimAtPath(f"/Hall/{name}").GetChildren():
        curves = UsdGeom.BasisCurves(prim)
        counts, points = curves.GetCurveVertexCountsAttr().Get(), np.asarray(curves.GetPointsAttr().Get(), np.float64)
        ends, widths = np.cumsum(counts), np.asarray(curves.GetWidthsAttr().Get(), np.float64)
        *loop, system = prim.GetName().split("_")
        for row, end, count in zip(prim.GetAttribute(f"{PREFIX}row").Get(), ends, counts, strict=True):
            yield system, *loop, None if row == MAIN else row, widths[end - 1], points[end - count : end].tolist()
