"""The grid of a hall: sizes of what stands there, widths to keep, where each row begins. `hall` sets things into it.

>>> from aifactory_lab.twin.plant import Plant
>>> grid = Grid(Plant(gpus=1024), Aisle(), racks=35, each=18)
>>> grid.segments, grid.pods, grid.lines.tolist()
(2, 1, [2, 1])
"""

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.parts import Node
from aifactory_lab.twin.plant import Plant

FILE = Path(__file__).with_name("data") / "hall.toml"


@dataclass(frozen=True, kw_only=True)
class Aisle:
    """Room to walk and to pull machines out, in metres.

    Attributes
    ----------
    cold, hot
        In front of racks and behind them, between the deepest things. Two floor tiles in front and 3 ft behind are the
        usual least (https://www.server-racks.com/aisle-pitch.html); behind, ours is as wide as a pathway.
    across
        Between the ends of rows, and from them to the walls: 1.2 m for whoever walks
        (https://guidelines.risa.gov.rw/books/data-center-and-cloud-services-directives/page/circulation).
    longest
        Racks in a row without a passage: 20, after the same directive.

    Raises
    ------
    TwinError
        If a width is not positive, or a row holds no rack.
    """

    cold: float = 1.2
    hot: float = 1.2
    across: float = 1.2
    longest: int = 20

    def __post_init__(self) -> None:
        for name in ("cold", "hot", "across", "longest"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0) or (name == "longest" and value != int(value)):
                msg = f"an aisle's {name}={value!r} must be positive{', and whole' if name == 'longest' else ''}"
                raise TwinError(msg, mend=f"hall.Aisle({name}={getattr(type(self), name)})")


@dataclass(frozen=True)
class Size:
    """Width, depth and height in metres; nobody measured them here (`why` says whence they are)."""

    width: float
    depth: float
    height: float
    why: str = ""


@cache
def size(kind: str) -> Size:
    """Return the size of ``"node-rack"``, ``"nvlink-rack"``, ``"cdu"``, ``"fan"``; `Size.why`."""
    return Size(**tomllib.loads(FILE.read_text())[kind])


def value(name: str) -> Any:
    """Return an assumption of `data/hall.toml`: ``"switches_per_rack"``, ``"ceiling_metres"``."""
    return tomllib.loads(FILE.read_text())[name]["is"]


@dataclass(frozen=True)
class Grid:
    """Rows of racks in columns: segment s stands in pod s // (2 columns), and pods follow each other along y."""

    plant: Plant
    aisle: Aisle
    racks: int
    each: int
    columns: int = 1
    fans: int = 1  # fan units that a line must have room for

    @property
    def segments(self) -> int:
        """Rows of racks."""
        return math.ceil(self.racks / self.each)

    @property
    def sides(self) -> int:
        """Rows of a pod: two, back to back."""
        return min(2, self.segments)

    @property
    def pods(self) -> int:
        """Pods, one after another along y."""
        return math.ceil(self.segments / (2 * self.columns))

    @property
    def rack(self) -> Size:
        """Size of a rack."""
        return size("node-rack" if isinstance(self.plant.part, Node) else "nvlink-rack")

    @property
    def depth(self) -> float:
        """Of a row: its deepest thing."""
        return max(self.rack.depth, size("cdu").depth if self.plant.cdus else 0.0)

    @property
    def cdus(self) -> np.ndarray:
        """CDUs of each segment."""
        ends = np.arange(self.segments + 1) * self.plant.cdus // self.segments
        return np.diff(ends)

    @property
    def west(self) -> float:
        """Breadth that CDUs take at the west end of the longest row."""
        return math.ceil(int(self.cdus.max()) / 2) * size("cdu").width

    @property
    def breadth(self) -> float:
        """Of a column, CDUs at both ends included."""
        return self.west + self.each * self.rack.width + int(self.cdus.max()) // 2 * size("cdu").width

    @property
    def length(self) -> float:
        """Of the hall along x."""
        rows = self.columns * (self.breadth + self.aisle.across)
        fans = self.fans * size("fan").width if self.plant.air_units else 0.0
        return max(rows, fans + self.aisle.across) + self.aisle.across

    @property
    def pod(self) -> float:
        """Depth of rows back to back, and of the hot aisle."""
        return self.sides * self.depth + self.aisle.hot

    @property
    def lines(self) -> np.ndarray:
        """Lines of fan units before each pod and after the last: walls first, the others evenly."""
        places = max(1, int((self.length - 2 * self.aisle.across) / size("fan").width + 1e-9))
        each, rest = divmod(math.ceil(self.plant.air_units / places), self.pods + 1)
        extra = np.linspace(0, self.pods, rest).round().astype(int)
        return each + np.bincount(extra, minlength=self.pods + 1)

    @property
    def starts(self) -> np.ndarray:
        """Y where each pod begins, and where the hall ends."""
        room = self.lines * (size("fan").depth + self.aisle.cold)
        inner = room + self.aisle.cold
        inner[[0, -1]] = np.maximum(room[[0, -1]], max(self.aisle.cold, self.aisle.across))
        return np.cumsum(inner) + np.arange(self.pods + 1) * self.pod

    @property
    def mains(self) -> tuple[list[float], list[int]]:
        """X of each column's mains, in the passage to its west; and of each row, which it joins.

        Lines of fan units cross all columns; they take turns.
        """
        pitch = self.breadth + self.aisle.across
        columns = [self.aisle.across / 2 + column * pitch for column in range(self.columns)]
        joins = [number % (2 * self.columns) // 2 for number in range(self.segments)]
        return columns, [*joins, *(line % self.columns for line in range(int(self.lines.sum())))]

    def segment(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x of a segment's west end, y of its front line, and its side (0: looks south)."""
        pod, within = np.divmod(number, 2 * self.columns)
        column, side = np.divmod(within, 2)
        x = self.aisle.across + column * (self.breadth + self.aisle.across)
        return x, self.starts[pod] + side * self.pod, side
