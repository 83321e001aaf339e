"""A hall as an OpenUSD stage: machines by reference, lines as curves, what racks do as attributes.

Up to `MOST` machines each is a prim of its own, to be picked and moved; beyond, racks and coolers are point instancers.
What a machine is, `assets` has written.

>>> import tempfile
>>> from aifactory_lab.twin import hall
>>> from aifactory_lab.twin.plant import Plant
>>> made = hall.layout(Plant.about(1000, "gb200-nvl72"))
>>> path = export(made, Path(tempfile.mkdtemp()) / "hall", pl.DataFrame({"rack": [0], "watts": [98e3]}))
>>> stage = Usd.Stage.Open(str(path))
>>> stage.GetAttributeAtPath("/Hall/Racks/Row_0/Rack_0.factory:watts").Get()
98000.0
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aifactory_lab.aside import folder_aside
from aifactory_lab.errors import TwinError, require
from aifactory_lab.twin.hall import Hall
from aifactory_lab.twin.usd import assets, curves, machines
from aifactory_lab.twin.usd import values as given
from aifactory_lab.twin.usd.curves import set_value

Gf, Sdf, Usd, Vt = (require(f"pxr.{name}", extra="twin") for name in ("Gf", "Sdf", "Usd", "Vt"))
MOST = 10_000
NAME = "hall"
PREFIX = "factory:"
COLOUR = "primvars:displayColor"
GROUPS = {"rack": "Racks", "cooler": "Coolers"}
TYPES = {pl.Float64: "Double", pl.Int64: "Int64", pl.String: "String", pl.Boolean: "Bool"}
COLUMNS = ("row", "kind", "gpus", "switches")


def export(
    hall: Hall,
    folder: Path | str,
    values: pl.DataFrame | None = None,
    *,
    by: str = "watts",
    text: bool = False,
    most: int = MOST,
) -> Path:
    """Write a hall and its machines as OpenUSD; the folder is whole or not there.

    Parameters
    ----------
    hall
        As `hall.layout` returns it.
    folder
        Made, or replaced if it holds such an export.
    values
        ``rack`` and what is known of it (``watts``, ``celsius``, ``tokens_per_second``, ``state``, …); with a column
        ``seconds``, one row a rack and moment, which become time samples (a time code is a second). Of an
        `operations.Day`: ``pl.concat(day.racks(hour).with_columns(seconds=3600.0 * hour) for hour in range(24))``.
    by
        What racks are coloured by, where the values have it: from the least to the most.
    text
        Whether the hall is written in USD's text form, which is larger and slower.
    most
        Machines that are prims of their own.

    Returns
    -------
    Path
        The layer to open.

    Raises
    ------
    TwinError
        If the folder holds something else, or the values do not fit the hall.
    """
    folder, checked = Path(folder), None
    if values is not None:
        checked = given.check(values, racks=hall.racks.height, by=by)
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or found(folder))):
        msg = f"{folder} holds something else than a hall; it would be replaced"
        raise TwinError(msg, mend=f'usd.export(hall, "{folder / "hall"}")')
    name = f"{NAME}.{'usda' if text else 'usdc'}"
    with folder_aside(folder) as aside:
        day = datetime.now(UTC).date().isoformat()
        for machine in machines.of(hall.plant).values():
            assets.write(machine, aside / "assets", date=day)
        layer = Sdf.Layer.CreateNew(str(aside / name))
        with Sdf.ChangeBlock():
            several = hall.racks.height + hall.coolers.height > most
            _fill(layer, hall, several=several)
            if checked is not None:
                (_arrays if several else _attributes)(layer, hall, checked, by)
                _span(layer, checked)
        layer.Save()
    return folder / name


def found(folder: Path) -> Path | None:
    """Return the layer of a hall in a folder, None if there is none."""
    return next((path for path in sorted(folder.glob(f"{NAME}.usd[ac]"))), None)


def _fill(layer: Any, hall: Hall, *, several: bool) -> None:
    root = Sdf.PrimSpec(layer, "Hall", Sdf.SpecifierDef, "Xform")
    root.SetInfo("kind", "assembly")
    layer.defaultPrim = "Hall"
    for name, value in {"upAxis": "Z", "metersPerUnit": 1.0, "timeCodesPerSecond": 1.0}.items():
        layer.pseudoRoot.SetInfo(name, value)
    record = {"plant": json.dumps(asdict(hall.plant)), "aisle": json.dumps(asdict(hall.aisle))}
    layer.customLayerData = {"aifactory_lab": record | {"extent": Gf.Vec3d(*hall.extent)}}
    for key, things in (("rack", hall.racks), ("cooler", hall.coolers)):
        if things.height:
            (_instancer if several else _prims)(root, key, things, hall)
    curves.write(root, hall)


def _names(hall: Hall) -> dict[str, str]:
    return {kind: machine.name for kind, machine in machines.of(hall.plant).items()}


def _reference(prim: Any, name: str) -> None:
    prim.referenceList.prependedItems = [Sdf.Reference(f"./assets/{name}/usd/{name}.usda")]
    prim.SetInfo("instanceable", True)


def _prims(root: Any, key: str, things: pl.DataFrame, hall: Hall) -> None:
    """Write a prim a machine, below one for each row."""
    group = Sdf.PrimSpec(root, GROUPS[key], Sdf.SpecifierDef, "Xform")
    group.SetInfo("kind", "group")
    assets_of, rows = _names(hall), {}
    for thing in things.iter_rows(named=True):
        if thing["row"] not in rows:
            rows[thing["row"]] = Sdf.PrimSpec(group, f"Row_{thing['row']}", Sdf.SpecifierDef, "Xform")
            rows[thing["row"]].SetInfo("kind", "group")
        prim = Sdf.PrimSpec(rows[thing["row"]], f"{key.title()}_{thing[key]}", Sdf.SpecifierDef, "Xform")
        _reference(prim, assets_of[thing["kind"]])
        set_value(prim, "xformOp:translate", "Double3", Gf.Vec3d(thing["x"], thing["y"], 0.0))
        set_value(prim, "xformOp:rotateZ", "Float", turn(thing["front"]))
        set_value(prim, "xformOpOrder", "TokenArray", ["xformOp:translate", "xformOp:rotateZ"], uniform=True)
        for name in (key, *(name for name in COLUMNS if name in thing)):
            set_value(prim, f"{PREFIX}{name}", "String" if name == "kind" else "Int64", thing[name])


def turn(front: float) -> float:
    """Return the degrees about z that turn a machine, which looks to -y, to its front."""
    return float((front - 270) % 360)


def _instancer(root: Any, key: str, things: pl.DataFrame, hall: Hall) -> None:
    """Write all machines of a group as points, each with its numbers."""
    prim = Sdf.PrimSpec(root, GROUPS[key], Sdf.SpecifierDef, "PointInstancer")
    prim.SetInfo("kind", "group")
    kinds = things["kind"].unique(maintain_order=True).to_list()
    assets_of = _names(hall)
    for kind in kinds:
        _reference(Sdf.PrimSpec(prim, kind, Sdf.SpecifierDef, "Xform"), assets_of[kind])
    targets = Sdf.RelationshipSpec(prim, "prototypes", custom=False)
    targets.targetPathList.explicitItems = [prim.path.AppendChild(kind) for kind in kinds]
    places = things.select("x", "y", z=pl.lit(0.0)).to_numpy().astype(np.float32)
    turned = np.radians([turn(front) / 2 for front in things["front"]])
    halves = Vt.QuathArray(
        [Gf.Quath(float(cos), 0.0, 0.0, float(sin)) for cos, sin in zip(np.cos(turned), np.sin(turned), strict=True)]
    )
    set_value(prim, "positions", "Point3fArray", Vt.Vec3fArray.FromNumpy(places))
    set_value(prim, "orientations", "QuathArray", halves)
    set_value(prim, "protoIndices", "IntArray", [kinds.index(kind) for kind in things["kind"]])
    set_value(prim, "ids", "Int64Array", things[key].to_list())
    for name in (name for name in COLUMNS if name in things.columns and name != "kind"):
        set_value(prim, f"{PREFIX}{name}", "Int64Array", things[name].to_list())


def _attributes(layer: Any, hall: Hall, values: pl.DataFrame, by: str) -> None:
    """Write what racks do on the prims of the racks."""
    row_of = dict(hall.racks.select("rack", "row").iter_rows())
    scale = given.limits(values[by]) if by in values.columns else None
    for seconds, part in given.moments(values):
        for name in (name for name in part.columns if name != "rack"):
            known = part.select("rack", name).drop_nulls()
            for attribute, kind, cells in _cells(known[name], scale if name == by else None):
                for rack, value in zip(known["rack"], cells, strict=True):
                    path = Sdf.Path(f"/Hall/Racks/Row_{row_of[rack]}/Rack_{rack}.{attribute}")
                    _sample(layer, path, kind, value, seconds)


def _cells(column: pl.Series, scale: tuple[float, float] | None) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield the attribute, its type and the value of each rack: a column's own, and the colours that it gives."""
    yield f"{PREFIX}{column.name}", TYPES[type(column.dtype)], column.to_list()
    if scale is not None:
        yield COLOUR, "Color3fArray", [Vt.Vec3fArray.FromNumpy(each[None]) for each in given.colours(column, *scale)]


def _sample(layer: Any, path: Any, kind: str, value: Any, seconds: float | None) -> None:
    prim = layer.GetPrimAtPath(path.GetPrimPath())
    spec = layer.GetAttributeAtPath(path) or Sdf.AttributeSpec(prim, path.name, getattr(Sdf.ValueTypeNames, kind))
    if seconds is None:
        spec.default = value
    else:
        layer.SetTimeSample(path, seconds, value)


def _arrays(layer: Any, hall: Hall, values: pl.DataFrame, by: str) -> None:
    """Write what racks do as arrays in the instancer's order; what is not known is not a number, or empty."""
    every = hall.racks.select("rack")
    low, high = given.limits(values[by]) if by in values.columns else (0.0, 1.0)
    for seconds, part in given.moments(values):
        told = every.join(part, on="rack", how="left", maintain_order="left")
        for name in (name for name in told.columns if name != "rack"):
            path = Sdf.Path(f"/Hall/Racks.{PREFIX}{name}")
            words = told[name].dtype == pl.String
            column = told[name].cast(pl.String if words else pl.Float64).fill_null("" if words else float("nan"))
            array = Vt.StringArray(column.to_list()) if words else Vt.DoubleArray.FromNumpy(column.to_numpy())
            _sample(layer, path, "StringArray" if words else "DoubleArray", array, seconds)
            if name == by:
                shown = Vt.Vec3fArray.FromNumpy(given.colours(column, low, high))
                _sample(layer, Sdf.Path(f"/Hall/Racks.{COLOUR}"), "Color3fArray", shown, seconds)
                layer.GetAttributeAtPath(f"/Hall/Racks.{COLOUR}").SetInfo("interpolation", "vertex")  # one an instance


def _span(layer: Any, values: pl.DataFrame) -> None:
    if "seconds" in values.columns:
        layer.startTimeCode, layer.endTimeCode = values["seconds"].min(), values["seconds"].max()
