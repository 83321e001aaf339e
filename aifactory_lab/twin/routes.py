"""The lines of a hall: pipes from the facility to coolers and on to racks, trays for power and network.

A header runs over each row, mains run along y beside each column of rows, and ties join the mains. Each system has a
level of its own, so lines cross without touching. How much must flow is asked of the plant; pressure is not known here.

>>> round(diameter(1.35e6, rise_kelvin=10), 3)  # what one large CDU moves, in a pipe of so many metres
0.144
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from aifactory_lab.twin.cooling import DENSITY, HEAT_CAPACITY
from aifactory_lab.twin.plant import Plant

WATER = DENSITY * HEAT_CAPACITY  # J/(m³ K)
SPEED = 2.0  # m/s, an assumption: pipes of buildings carry water at 1 to 3
TRAY = {"power": 0.6, "network": 0.45}  # metres wide, assumptions
# (loop, system) -> height above the floor, and how far behind the middle of its row (metres). Assumptions.
PLACES = {
    ("technology", "supply"): (2.55, 0.15),
    ("technology", "return"): (2.80, 0.40),
    ("power", "power"): (3.05, -0.30),
    ("network", "network"): (3.30, 0.0),
    ("facility", "supply"): (3.60, -0.12),
    ("facility", "return"): (3.90, 0.27),
}
SCHEMA = {"system": pl.String, "loop": pl.String, "row": pl.Int64, "diameter": pl.Float64}
POINTS = pl.List(pl.Array(pl.Float64, 3))
Point = list[float]


@dataclass(frozen=True)
class Row:
    """A row of racks or of fan units: its middle, which way its back is, its ends, the watts that each loop takes."""

    number: int
    main: float
    y: float
    back: int
    west: float
    east: float
    technology: float
    facility: float
    network: bool

    def carries(self, loop: str) -> bool:
        """Whether a line of the loop runs over it."""
        return {"power": True, "network": self.network}.get(loop, bool(getattr(self, loop, 0.0)))


def diameter(watts: float, *, rise_kelvin: float) -> float:
    """Return the inner diameter in metres of the pipe whose water takes so many watts at `SPEED`."""
    return math.sqrt(4 * watts / (math.pi * SPEED * WATER * rise_kelvin))


def lines(
    plant: Plant, racks: pl.DataFrame, coolers: pl.DataFrame, mains: list[float], main_of: list[int]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return pipes and trays in the form of `hall.Hall`.

    Parameters
    ----------
    plant
        Whose heat is carried.
    racks, coolers
        As in `hall.Hall`.
    mains, main_of
        X of each column's mains, and of each row which it joins.
    """
    rows = list(_rows(plant, racks, coolers, mains, main_of))
    found: list[dict[str, Any]] = []
    for loop, system in PLACES:
        joined = [row for row in rows if row.carries(loop)]
        found += [_header(plant, row, loop, system) for row in joined]
        found += _mains(plant, joined, mains, loop, system)
    frame = pl.DataFrame(found, schema=SCHEMA | {"points": POINTS}, orient="row")
    piped = frame["loop"].is_in(["technology", "facility"])
    trays = frame.filter(~piped).drop("loop").rename({"diameter": "width"})
    return frame.filter(piped), trays


def _rows(
    plant: Plant, racks: pl.DataFrame, coolers: pl.DataFrame, mains: list[float], main_of: list[int]
) -> Iterator[Row]:
    heat = plant.part.max_watts * plant.part.liquid_share / plant.gpus_per_chassis
    cdu, unit = pl.col("kind") == "cdu", pl.lit(plant.cdu_part.capacity_watts)
    parts = [
        racks.with_columns(taken=pl.col("gpus") * heat),
        coolers.with_columns(
            given=pl.when(cdu).then(unit), facility=pl.when(cdu).then(unit).otherwise(plant.air_unit_watts)
        ),
    ]
    half = pl.col("width") / 2
    things = pl.concat(parts, how="diagonal").group_by("row", maintain_order=True)
    sums = things.agg(
        pl.col("y").filter(pl.col("kind") != "cdu").first(),
        pl.col("front").first(),
        west=(pl.col("x") - half).min(),
        east=(pl.col("x") + half).max(),
        technology=pl.max_horizontal(pl.col("taken").sum(), pl.col("given").sum()),  # what may pass through it
        facility=pl.col("facility").sum(),
        network=(pl.col("kind") != "fan").any(),
    )
    for one in sums.sort("row").iter_rows(named=True):
        back = 1 if one.pop("front") == 270 else -1
        number = one.pop("row")
        yield Row(number=number, main=mains[main_of[number]], back=back, **one)


def _line(loop: str, system: str, row: int | None, width: float, points: list[Point]) -> dict[str, Any]:
    return {"system": system, "loop": loop, "row": row, "diameter": width, "points": points}


def _wide(plant: Plant, watts: float, loop: str) -> float:
    rise = plant.cdu_part.rise_kelvin if loop == "technology" else plant.cooling.rise_kelvin
    return TRAY[loop] if loop in TRAY else diameter(watts, rise_kelvin=rise)


def _header(plant: Plant, row: Row, loop: str, system: str) -> dict[str, Any]:
    high, behind = PLACES[loop, system]
    y = row.y + row.back * behind
    ends = min(row.main, row.west), max(row.main, row.east)
    width = _wide(plant, getattr(row, loop, 0.0), loop)
    return _line(loop, system, row.number, width, [[x, y, high] for x in ends])


def _mains(plant: Plant, rows: list[Row], mains: list[float], loop: str, system: str) -> Iterator[dict[str, Any]]:
    """Mains of each column; from the southern wall where the line comes from outside, and a tie where it does not.

    A tie of cold plates' water moves what a spare CDU gives.
    """
    high, behind = PLACES[loop, system]
    outside, spare = loop in {"facility", "power"}, plant.cdu_part.capacity_watts
    near = min((row.y + row.back * behind for row in rows), default=0.0)
    used = [x for x in mains if any(row.main == x for row in rows)]
    for x in used:
        ours = [row for row in rows if row.main == x]
        ends = [row.y + row.back * behind for row in ours]
        heat = sum(row.facility for row in ours) if loop == "facility" else spare
        south = 0.0 if outside else near
        yield _line(loop, system, None, _wide(plant, heat, loop), [[x, south, high], [x, max(*ends, south), high]])
    if len(used) > 1 and not outside:
        yield _line(loop, system, None, _wide(plant, spare, loop), [[used[0], near, high], [used[-1], near, high]])


def drops(racks: pl.DataFrame, coolers: pl.DataFrame, pipes: pl.DataFrame, trays: pl.DataFrame) -> pl.DataFrame:
    """Return what hangs from the headers: ``kind`` and ``number`` of the thing, and the line down to it, as a pipe."""
    things = pl.concat(
        [
            frame.select(pl.col(name).alias("number"), "kind", "row", "x", "y", "height")
            for name, frame in (("rack", racks), ("cooler", coolers))
        ]
    )
    every = [pipes, trays.with_columns(loop=pl.col("system")).rename({"width": "diameter"})]
    headers = pl.concat(every, how="diagonal").filter(pl.col("row").is_not_null())
    hung = things.join(headers, on="row")
    wanted = {"gpu": ("technology", "power", "network"), "network": ("power", "network"), "fan": ("facility", "power")}
    wanted |= {"cdu": ("technology", "facility", "power")}
    meant = pl.struct("kind", "loop").is_in([{"kind": kind, "loop": loop} for kind in wanted for loop in wanted[kind]])
    first = pl.col("points").list.first().arr
    top = pl.concat_list("x", first.get(1), "height").list.to_array(3)
    line = pl.concat_list("x", first.get(1), first.get(2)).list.to_array(3)
    return hung.filter(meant).select(
        "kind", "number", "system", "loop", "row", "diameter", points=pl.concat_list(top, line)
    )
