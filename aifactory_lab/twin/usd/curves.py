"""The lines of a hall as curves: one prim for each loop and system, and one for what hangs from it; and the floor.

Each curve keeps its row, so that the hall can be read again.

>>> [colour(system) for system in ("supply", "return")]
[(0.1, 0.35, 0.8), (0.8, 0.2, 0.15)]
"""

from typing import Any

import numpy as np
import polars as pl

from aifactory_lab.errors import require
from aifactory_lab.twin.hall import Hall

Gf, Sdf, UsdGeom, Vt = (require(f"pxr.{name}", extra="twin") for name in ("Gf", "Sdf", "UsdGeom", "Vt"))
COLOURS = {
    "supply": (0.1, 0.35, 0.8),
    "return": (0.8, 0.2, 0.15),
    "power": (0.85, 0.65, 0.1),
    "network": (0.4, 0.4, 0.45),
}
MAIN = -1  # the row of a line that belongs to none


def colour(system: str) -> tuple[float, float, float]:
    """Return the colour of a system's lines."""
    return COLOURS[system]


def write(root: Any, hall: Hall) -> None:
    """Write pipes, trays, what hangs from them, and the floor below a prim."""
    trays = hall.trays.select(
        "system", pl.col("system").alias("loop"), "row", pl.col("width").alias("diameter"), "points"
    )
    for name, lines in (("Pipes", hall.pipes), ("Trays", trays), ("Drops", hall.drops())):
        group = Sdf.PrimSpec(root, name, Sdf.SpecifierDef, "Xform")
        for (loop, system), part in lines.group_by("loop", "system", maintain_order=True):
            label = str(loop) if loop == system else f"{loop}_{system}"
            _curves(Sdf.PrimSpec(group, label, Sdf.SpecifierDef, "BasisCurves"), part, str(system))
    _floor(Sdf.PrimSpec(root, "Floor", Sdf.SpecifierDef, "Mesh"), hall)


def set_value(prim: Any, name: str, kind: str, value: Any, *, uniform: bool = False) -> Any:
    """Set an attribute on a prim's spec, and return it."""
    variability = Sdf.VariabilityUniform if uniform else Sdf.VariabilityVarying
    spec = Sdf.AttributeSpec(prim, name, getattr(Sdf.ValueTypeNames, kind), variability)
    spec.default = value
    return spec


def _curves(prim: Any, lines: pl.DataFrame, system: str) -> None:
    counts = lines["points"].list.len().to_numpy()
    points = Vt.Vec3fArray.FromNumpy(np.concatenate(lines["points"].to_list()).astype(np.float32))
    wide = lines["diameter"].to_numpy()
    set_value(prim, "type", "Token", "linear", uniform=True)
    set_value(prim, "curveVertexCounts", "IntArray", Vt.IntArray.FromNumpy(counts.astype(np.int32)))
    set_value(prim, "points", "Point3fArray", points)
    widths = Vt.FloatArray.FromNumpy(np.repeat(wide, counts).astype(np.float32))
    set_value(prim, "widths", "FloatArray", widths).SetInfo("interpolation", "vertex")
    set_value(prim, "extent", "Float3Array", UsdGeom.Curves.ComputeExtent(points, widths))
    _colour(prim, colour(system))
    set_value(prim, "factory:row", "IntArray", lines["row"].fill_null(MAIN).to_list())


def _colour(prim: Any, shown: tuple[float, float, float]) -> None:
    spec = set_value(prim, "primvars:displayColor", "Color3fArray", [Gf.Vec3f(*shown)])
    spec.SetInfo("interpolation", "constant")


def _floor(prim: Any, hall: Hall) -> None:
    """Write the floor, about its middle."""
    length, breadth, _ = hall.extent
    x, y = length / 2, breadth / 2
    set_value(prim, "xformOp:translate", "Double3", Gf.Vec3d(x, y, 0.0))
    set_value(prim, "xformOpOrder", "TokenArray", ["xformOp:translate"], uniform=True)
    set_value(prim, "points", "Point3fArray", [Gf.Vec3f(*at, 0.0) for at in ((-x, -y), (x, -y), (x, y), (-x, y))])
    set_value(prim, "faceVertexCounts", "IntArray", [4])
    set_value(prim, "faceVertexIndices", "IntArray", [0, 1, 2, 3])
    normals = set_value(prim, "normals", "Normal3fArray", [Gf.Vec3f(0.0, 0.0, 1.0)] * 4)
    normals.SetInfo("interpolation", "faceVarying")
    set_value(prim, "subdivisionScheme", "Token", "none", uniform=True)
    set_value(prim, "extent", "Float3Array", [Gf.Vec3f(-x, -y, 0.0), Gf.Vec3f(x, y, 0.0)])
    _colour(prim, (0.75, 0.76, 0.78))
