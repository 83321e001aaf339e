"""What a million tokens cost in dollars and in carbon: ranges, with every assumption visible and to be edited.

Hardware and building are written off over their years; energy, water and upkeep are paid as they go. The low end takes
all assumptions at their cheapest at once, the high end at their dearest: no plant is likely to lie outside. What a
plant writes and draws is given, not known.

>>> bill = per_mtoken(tokens_per_second=1e6, gpus=1000, it_watts=1.2e6, pue=1.1)
>>> low, usual, high = bill.dollars
>>> low < usual < high, round(usual, 2)
(True, 0.68)
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError

FILE = Path(__file__).with_name("data") / "cost.toml"
YEAR = 365.25 * 86_400
COLUMNS = ("low", "usual", "high")
Range = tuple[float, float, float]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Bill:
    """The price and the carbon of a million tokens, by part.

    Attributes
    ----------
    parts
        USD a million tokens, low, usual and high: ``"hardware"``, ``"building"``, ``"upkeep"``, ``"energy"``,
        ``"water"``.
    carbon
        kg CO2e a million tokens: ``"energy"``, ``"embodied"``.
    assumed
        The assumptions, as they were used.
    """

    parts: Mapping[str, Range]
    carbon: Mapping[str, Range]
    assumed: Mapping[str, Range]

    @property
    def dollars(self) -> Range:
        """USD a million tokens: low, usual, high."""
        return _sum(self.parts)

    @property
    def kg_co2e(self) -> Range:
        """Kilograms of CO2 equivalent a million tokens: low, usual, high."""
        return _sum(self.carbon)

    def table(self) -> pl.DataFrame:
        """Return both, part by part, with their sums."""
        kinds = (("USD", self.parts, self.dollars), ("kg CO2e", self.carbon, self.kg_co2e))
        rows = [
            (unit, part, *values) for unit, parts, all_ in kinds for part, values in (*parts.items(), ("all", all_))
        ]
        return pl.DataFrame(rows, schema=("unit", "part", *COLUMNS), orient="row")


@cache
def _told() -> dict[str, dict[str, Any]]:
    return tomllib.loads(FILE.read_text())


def assumptions() -> pl.DataFrame:
    """Return the assumptions: name, low, usual, high, unit, and what each rests on."""
    rows = [(name, *map(float, one["is"]), one["unit"], one["by"]) for name, one in _told().items()]
    return pl.DataFrame(rows, schema=("assumption", *COLUMNS, "unit", "by"), orient="row")


def per_mtoken(
    *,
    tokens_per_second: float,
    gpus: float,
    it_watts: float,
    pue: float,
    water_kg_s: float = 0.0,
    assume: Mapping[str, float | Sequence[float]] | None = None,
) -> Bill:
    """Return what a million tokens cost.

    Parameters
    ----------
    tokens_per_second
        That the plant could write if asked all the time; `utilisation` says how much of it is asked.
    gpus, it_watts, pue
        Of the plant; its mean power at that utilisation, before cooling and supply, and what those make of it.
    water_kg_s
        That its towers draw.
    assume
        Other assumptions, by name: a number, or three (cheap, usual, dear); see `assumptions`.

    Raises
    ------
    TwinError
        If a figure is not positive, a PUE is below 1, or there is no such assumption.
    """
    given = {"tokens_per_second": tokens_per_second, "gpus": gpus, "it_watts": it_watts}
    for name, value in given.items():
        if not (np.isfinite(value) and value > 0):
            msg = f"{name}={value!r} must be positive"
            raise TwinError(msg, mend=f"{name}=1000")
    if not (pue >= 1 and water_kg_s >= 0):
        msg = f"pue={pue!r} with water_kg_s={water_kg_s!r} cannot be: a PUE is 1 or more, and water is drawn"
        raise TwinError(msg, mend="pue=1.1, water_kg_s=0")
    used = _used(assume or {})
    watts = it_watts * pue
    mtokens = tokens_per_second * used["utilisation"] / 1e6
    hardware, building = gpus * used["gpu_dollars"], watts * used["building_dollars_per_watt"]
    parts = {
        "hardware": hardware / (used["hardware_years"] * YEAR),
        "building": building / (used["building_years"] * YEAR),
        "upkeep": hardware * used["upkeep_per_year"] / YEAR,
        "energy": watts / 3.6e6 * used["dollars_per_kwh"],
        "water": water_kg_s / 1000 * used["dollars_per_m3"],
    }
    carbon = {
        "energy": watts / 3.6e6 * used["grid_kg_per_kwh"],
        "embodied": gpus * used["embodied_kg"] / (used["hardware_years"] * YEAR),
    }
    money, emitted = ({name: _range(part / mtokens) for name, part in one.items()} for one in (parts, carbon))
    return Bill(money, emitted, {name: _range(value) for name, value in used.items()})


def _used(assume: Mapping[str, float | Sequence[float]]) -> dict[str, Numbers]:
    found = {name: np.asarray(one["is"], np.float64) for name, one in _told().items()}
    for name, value in assume.items():
        if name not in found:
            msg = f"no assumption {name!r}; there are: {', '.join(found)}"
            raise TwinError(msg, mend='assume={"dollars_per_kwh": 0.08}')
        numbers = np.broadcast_to(np.asarray(value, np.float64), np.shape(value) or (3,))
        share = name == "utilisation"
        if (
            numbers.shape != (3,)
            or not (np.isfinite(numbers) & (numbers >= 0)).all()
            or (share and not _is_share(numbers))
        ):
            msg = f"{name}={value!r} is neither a number nor three (cheap, usual, dear) that can be"
            raise TwinError(msg, mend=f"{name}={[float(number) for number in found[name]]}")
        if name.endswith("_years") and not (numbers > 0).all():
            msg = f"{name}={value!r} must be positive"
            raise TwinError(msg, mend=f"{name}=4")
        found[name] = numbers
    return found


def _is_share(numbers: Numbers) -> bool:
    return bool(((numbers > 0) & (numbers <= 1)).all())


def _range(values: Numbers) -> Range:
    low, usual, high = (float(value) for value in values)
    return low, usual, high


def _sum(parts: Mapping[str, Range]) -> Range:
    return _range(np.sum(list(parts.values()), axis=0))
