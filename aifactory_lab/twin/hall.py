"""The hall: where racks, coolers, pipes and trays of a plant stand. Geometry only: what they do is not known here.

Rows of racks stand back to back: fronts face a cold aisle, backs a hot one. Coolant distribution units close the rows,
fan units line the walls and, where those are full, cold aisles. Metres; x runs along the rows, y across them, z up from
the floor. A thing's x and y are the middle of its footprint, its `front` the direction it faces in degrees from x.

>>> from aifactory_lab.twin.plant import Plant
>>> hall = layout(Plant.about(1000, "gb200-nvl72"))
>>> hall.racks["kind"].value_counts().sort("kind").rows(), hall.coolers.height
([('gpu', 14), ('network', 3)], 6)
>>> hall.racks.select("rack", "row", "x", "y", "front").row(0)
(0, 0, 2.4, 2.684, 270)
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import routes
from aifactory_lab.twin.grid import Aisle, Grid, Size, size, value
from aifactory_lab.twin.parts import Node
from aifactory_lab.twin.plant import Plant

__all__ = ["Aisle", "Hall", "Size", "layout", "size"]
FRONTS = (270, 90)  # of a row's two sides: the southern looks south, the northern north


@dataclass(frozen=True)
class Hall:
    """What stands where.

    Attributes
    ----------
    plant, aisle
        What it is the hall of.
    racks
        ``rack`` (the plant's numbers; network racks follow), ``row``, ``kind`` (``"gpu"`` or ``"network"``), ``gpus``,
        ``switches``, ``x``, ``y``, ``width``, ``depth``, ``height``, ``front``.
    coolers
        ``cooler``, ``kind`` (``"cdu"`` or ``"fan"``), ``row`` (fan units: their line, numbered after the rows
        of racks), then as racks.
    pipes, trays
        Lines overhead: ``system`` (``"supply"``, ``"return"``; ``"power"``, ``"network"``), ``loop`` of a pipe
        (``"technology"``: between CDUs and racks; ``"facility"``: to the CDUs), ``row`` (null for mains), ``diameter``
        or ``width``, ``points`` (x, y, z each).
    extent
        Inner length (x), breadth (y) and height (z) of the hall.
    """

    plant: Plant
    aisle: Aisle
    racks: pl.DataFrame
    coolers: pl.DataFrame
    pipes: pl.DataFrame = field(default_factory=pl.DataFrame)
    trays: pl.DataFrame = field(default_factory=pl.DataFrame)
    extent: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def drops(self) -> pl.DataFrame:
        """Return the hoses and cables from the lines above each thing down to its top, in the form of pipes."""
        return routes.drops(self.racks, self.coolers, self.pipes, self.trays)


def layout(plant: Plant, *, aisle: Aisle | None = None) -> Hall:
    """Return the hall of a plant: about square, its racks in the plant's order.

    Parameters
    ----------
    plant
        What stands in it.
    aisle
        Widths to keep; `Aisle` by default.

    Raises
    ------
    TwinError
        If a rack is lower than the nodes that it is to hold.
    """
    aisle = aisle or Aisle()
    _fits(plant)
    racks = _kinds(plant)
    each = min(aisle.longest, math.ceil(racks.height / 2))
    flat = Grid(plant, aisle, racks.height, each)
    grids = [replace(flat, columns=count) for count in range(1, math.ceil(flat.segments / 2) + 1)]
    grids += [replace(flat, fans=count) for count in range(2, min(plant.air_units, aisle.longest) + 1)]
    grid = min(grids, key=lambda one: (max(one.length, one.starts[-1]), one.length * one.starts[-1]))
    extent = grid.length, float(grid.starts[-1]), float(value("ceiling_metres"))
    stood = _racks(grid, racks)
    coolers = pl.concat([_cdus(grid), _fans(grid)])
    pipes, trays = routes.lines(plant, stood, coolers, *grid.mains)
    return Hall(plant, aisle, stood, coolers, pipes, trays, extent)


def _fits(plant: Plant) -> None:
    part, usable = plant.part, size("node-rack").height
    if not isinstance(part, Node) or part.height_metres is None:
        return
    most = int(usable / part.height_metres)
    if plant.nodes_per_rack > most:
        each = f"{part.name} of {part.height_metres:.2f} m"
        msg = f"nodes_per_rack={plant.nodes_per_rack}: so many {each} do not fit into a rack of {usable} m"
        raise TwinError(msg, mend=f"nodes_per_rack={most}")


def _kinds(plant: Plant) -> pl.DataFrame:
    """Racks in the order in which they stand: network racks among those that they serve."""
    most, switches = int(value("switches_per_rack")), plant.fabric.switches
    gpus, network = plant.racks(), math.ceil(switches / most)
    ends = np.arange(network + 1) * switches // network
    ours = gpus.select(
        "rack", pl.lit("gpu").alias("kind"), "gpus", switches=pl.lit(0, pl.Int64), after=pl.col("rack").cast(pl.Float64)
    )
    theirs = {
        "rack": plant.rack_count + np.arange(network),
        "kind": ["network"] * network,
        "gpus": np.zeros(network, int),
        "switches": np.diff(ends),
        "after": (np.arange(network) + 0.5) * plant.rack_count / network - 0.5,
    }
    return pl.concat([ours, pl.DataFrame(theirs)], how="vertical_relaxed").sort("after", "kind").drop("after")


def _racks(grid: Grid, racks: pl.DataFrame) -> pl.DataFrame:
    row, place = np.divmod(np.arange(racks.height), grid.each)
    x, front, side = grid.segment(row)
    x = x + grid.west + (place + 0.5) * grid.rack.width
    return _stand(racks.with_columns(pl.Series("row", row)), x, front, side, grid.rack).sort("rack")


def _cdus(grid: Grid) -> pl.DataFrame:
    """CDUs at both ends of their row."""
    row = np.repeat(np.arange(grid.segments), grid.cdus)
    place = np.arange(row.size) - np.repeat(np.cumsum(grid.cdus) - grid.cdus, grid.cdus)
    x, front, side = grid.segment(row)
    unit, held = size("cdu"), np.bincount(np.arange(grid.racks) // grid.each)[row]
    west, end = place % 2 == 0, grid.west + held * grid.rack.width
    x = x + np.where(west, grid.west - (place // 2 + 0.5) * unit.width, end + (place // 2 + 0.5) * unit.width)
    frame = pl.DataFrame({"cooler": np.arange(row.size), "row": row}).insert_column(1, pl.lit("cdu").alias("kind"))
    return _stand(frame, x, front, side, unit)


def _stand(frame: pl.DataFrame, x: np.ndarray, front: np.ndarray, side: np.ndarray, what: Size) -> pl.DataFrame:
    """Set things into rows with their fronts in one line."""
    y = front + np.where(side == 0, 0.5, -0.5) * what.depth
    return _sized(frame, x, y, what).with_columns(pl.Series("front", np.array(FRONTS)[side], pl.Int64))


def _sized(frame: pl.DataFrame, x: np.ndarray, y: np.ndarray, what: Size) -> pl.DataFrame:
    shape = {name: pl.lit(getattr(what, name)) for name in ("width", "depth", "height")}
    return frame.with_columns(pl.Series("x", x, pl.Float64), pl.Series("y", y, pl.Float64), **shape)


def _fans(grid: Grid) -> pl.DataFrame:
    """Fan units in their lines, spread along x."""
    unit, total, lines = size("fan"), grid.plant.air_units, int(grid.lines.sum())
    line = np.arange(total) * lines // max(1, total)
    held = np.bincount(line, minlength=lines)
    place = np.arange(total) - (np.cumsum(held) - held)[line]
    x = grid.aisle.across + (place + 0.5) * (grid.length - 2 * grid.aisle.across) / held[line]
    gap = np.repeat(np.arange(grid.pods + 1), grid.lines)
    back = np.arange(lines) - (np.cumsum(grid.lines) - grid.lines)[gap]  # lines of the same gap before it
    pitch = unit.depth + grid.aisle.cold
    begin = np.concatenate([[0.0], grid.starts[:-1] + grid.pod + grid.aisle.cold])[gap]
    north = gap == grid.pods
    y = np.where(north, grid.starts[-1] - back * pitch - unit.depth / 2, begin + back * pitch + unit.depth / 2)
    number = pl.DataFrame({"cooler": grid.plant.cdus + np.arange(total), "row": grid.segments + line})
    frame = _sized(number.insert_column(1, pl.lit("fan").alias("kind")), x, y[line], unit)
    return frame.with_columns(pl.Series("front", np.where(north, *FRONTS)[line], pl.Int64))
