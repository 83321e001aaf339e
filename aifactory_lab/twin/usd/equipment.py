"""What a machine is to others: its size, its figures with units, where its pipes and cables connect, its look.

Names and units follow NVIDIA's SimReady profile for AI factories: sizes in mm, power in kW. A machine stands on z = 0,
in the middle of its footprint, and looks to -y. Which machines there are, and how they are written, is not known here.

>>> from aifactory_lab.twin.grid import Size
>>> shelf = make("Shelf", "", "A shelf", Size(0.6, 0.3, 2.0), kilograms=40.0, qcode="Q1")
>>> shelf.figures["aif:core:width"], [box.name for box in shelf.boxes]
(Figure(value=600.0, unit='mm', source=''), ['Body'])
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aifactory_lab.twin.grid import Size
from aifactory_lab.twin.usd.ports import Port, assumed

PROFILE, VERSION = "AIF-Entity", "0.2.0"
SKIN = 0.03  # metres of a machine's depth that its front's parts take
DARK = (0.10, 0.10, 0.11)
Colour = tuple[float, float, float]
Front = tuple[str, Colour, float, float]  # name, colour, height of its lower edge, its own height
Value = float | int | str | tuple[float, ...] | tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A figure with its unit and where it is from."""

    value: Value
    unit: str = ""
    source: str = ""


@dataclass(frozen=True)
class Box:
    """A block of a machine: the middle of its floor, its size in metres, its colour."""

    name: str
    at: tuple[float, float, float]
    size: tuple[float, float, float]
    colour: Colour


@dataclass(frozen=True)
class Equipment:
    """A machine that stands in a hall.

    Attributes
    ----------
    name, category, title
        Identifier; SimReady's class: ``"compute rack"``, ``"CDU"``, ``"CRAH"``, empty where it has none; in words.
    qcode
        Of the kind of thing, in Wikidata.
    size, kilograms
        Outer metres, and its mass.
    figures
        ``aif:core:*`` and ``aif:spec:*``.
    ports, boxes
        Connection points; what it looks like.
    """

    name: str
    category: str
    title: str
    qcode: str
    size: Size
    kilograms: float
    figures: Mapping[str, Figure]
    ports: tuple[Port, ...] = field(default=())
    boxes: tuple[Box, ...] = field(default=())

    @property
    def simready(self) -> bool:
        """Whether the profile has a class for it."""
        return bool(self.category)


def make(
    name: str,
    category: str,
    title: str,
    shape: Size,
    *,
    kilograms: float,
    qcode: str,
    spec: Mapping[str, Figure] | None = None,
    ports: Iterable[Port] = (),
    fronts: Iterable[Front] = (),
) -> Equipment:
    """Return a machine: `spec` are its class's figures without their prefix, `fronts` what its front shows."""
    core = _core(name, category or "network rack", title, shape, kilograms)
    figures = {f"aif:core:{key}": figure for key, figure in core.items()}
    figures |= {f"aif:spec:{key}": figure for key, figure in (spec or {}).items()}
    return Equipment(
        name, category, title, qcode, shape, kilograms, figures, tuple(ports), tuple(_boxes(shape, fronts))
    )


def _core(name: str, category: str, title: str, shape: Size, kilograms: float) -> dict[str, Figure]:
    width, depth, height = (round(1000 * metres, 3) for metres in (shape.width, shape.depth, shape.height))
    clear = Figure(1000 * assumed("site", "clearance"), "mm", "assumption")
    return {
        "assetClass": Figure(category),
        "manufacturer": Figure("NVIDIA" if category == "compute rack" else "generic"),
        "modelNumber": Figure(name),
        "assetVersion": Figure("1.0.0"),
        "assetDescription": Figure(f"{title}: a block model with figures, by aifactory_lab"),
        "connectsToModelDocumentation": Figure("https://docs.nvidia.com/dgx"),
        "simreadyVersion": Figure(VERSION),
        "width": Figure(width, "mm", shape.why),
        "depth": Figure(depth, "mm", shape.why),
        "height": Figure(height, "mm", shape.why),
        "weight": Figure(kilograms, "kg"),
        "overallGeometryDimensions": Figure((width, depth, height), "mm", shape.why),
        "installationClearance": Figure(0.0, "mm", "machines stand side by side"),
        "accessibilityRequirement": clear,
    }


def _boxes(shape: Size, fronts: Iterable[Front]) -> Iterable[Box]:
    """Yield a body, and before it the parts that show at its front; all within the machine's size."""
    fronts = tuple(fronts)
    skin = SKIN if fronts else 0.0
    yield Box("Body", (0.0, skin / 2, 0.0), (shape.width, shape.depth - skin, shape.height), DARK)
    y = -shape.depth / 2 + SKIN / 2
    for name, colour, low, high in fronts:
        yield Box(name, (0.0, y, low), (shape.width - 0.08, SKIN, high), colour)
