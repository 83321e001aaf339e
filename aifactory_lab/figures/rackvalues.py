"""What is known of the racks of a hall: which columns, in which units, on which scale, and what is refused.

The plan and the 3-D hall read the same frame by the same rules. How it is drawn is theirs.

>>> import polars as pl
>>> limits_of(pl.DataFrame({"rack": [0, 1], "watts": [98e3, None]}), "watts")
(0.0, 100000.0)
>>> measure("celsius").unit
'°C'
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.hall import Hall

STATES = ("up", "degraded", "down", "unknown")
ROUND = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
LEAST = 1e-9  # of a scale: below it a rack does nothing
Limits = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Measure:
    """What racks are coloured by.

    Attributes
    ----------
    name
        Its column.
    label, unit
        As people say them; `unit` is that of the column.
    told, each
        The unit of the figure, and how many of the column's it is.
    zero
        Whether its scale begins at zero.
    """

    name: str
    label: str
    unit: str
    told: str
    each: float = 1.0
    zero: bool = True


MEASURES = {
    one.name: one
    for one in (
        Measure("watts", "power", "W", "kW", 1e3),
        Measure("celsius", "temperature", "°C", "°C", zero=False),
        Measure("tokens_per_second", "tokens", "tokens/s", "tokens/s"),
    )
}


def measure(by: str) -> Measure:
    """Return what racks are coloured by, by the name of its column.

    Raises
    ------
    TwinError
        If racks are not coloured by it.
    """
    if by not in MEASURES:
        msg = f"racks cannot be coloured by {by!r}; there are: {', '.join(MEASURES)}"
        raise TwinError(msg, mend='by="watts"')
    return MEASURES[by]


def limits_of(values: pl.DataFrame, by: str) -> tuple[float, float]:
    """Return between which values colours go: from zero, or from the least, to the most that is known, both rounded.

    Raises
    ------
    TwinError
        If racks are not coloured by it.
    """
    how = measure(by)
    known = (
        values[by].cast(pl.Float64).fill_nan(None).drop_nulls()
        if by in values.columns
        else pl.Series([], dtype=pl.Float64)
    )
    if known.is_empty():
        return 0.0, how.each
    low, high = float(known.min()), float(known.max())  # type: ignore[arg-type]
    if not how.zero:
        low, high = 5 * math.floor(low / 5), 5 * math.ceil(high / 5)
        return float(low), float(max(high, low + 5))
    if high < LEAST:
        return 0.0, how.each
    size = 10.0 ** math.floor(math.log10(high))
    return 0.0, next((step * size for step in ROUND if step * size >= high), 20 * size)


def told(hall: Hall, values: pl.DataFrame | None) -> pl.DataFrame:
    """Return every rack of the hall with what is known of it: null where it is not.

    Raises
    ------
    TwinError
        If the values are not of these racks, or hold a state or a number that cannot be.
    """
    racks = hall.racks.select("rack", "kind")
    if values is None:
        values = pl.DataFrame(schema={"rack": racks.schema["rack"]})
    _check(racks, values)
    numbers = [name for name in (*MEASURES, "gpus_up") if name in values.columns]
    kept = values.select(
        pl.col("rack").cast(racks.schema["rack"]),
        *(pl.col(name).cast(pl.Float64).fill_nan(None) for name in numbers),
        pl.col("state") if "state" in values.columns else pl.lit("up").alias("state"),
        *(["note"] if "note" in values.columns else []),
    )
    full = racks.join(kept, on="rack", how="left", maintain_order="left")
    absent = [pl.lit(None, pl.Float64).alias(name) for name in MEASURES if name not in numbers]
    return full.with_columns(pl.col("state").fill_null("unknown"), *absent)


def _check(racks: pl.DataFrame, values: pl.DataFrame) -> None:
    """Raise unless these are values of these racks."""
    if "rack" not in values.columns:
        msg = f"values have no column 'rack'; there are: {', '.join(values.columns)}"
        raise TwinError(msg, mend="day.racks(at_hours=14)")
    strangers = values.filter(~pl.col("rack").is_in(racks["rack"].implode()))["rack"]
    if strangers.len():
        msg = f"rack {strangers[0]!r} does not stand in this hall of {racks.height} racks"
        raise TwinError(msg, mend="hall.layout(plant)  # of the plant that the values are of")
    if (twice := values["rack"].is_duplicated()).any():
        msg = f"rack {values['rack'].filter(twice)[0]!r} has more than one row"
        raise TwinError(msg, mend='values.unique("rack", keep="last")')
    if "state" in values.columns:
        odd = values["state"].drop_nulls().filter(~values["state"].drop_nulls().is_in(STATES))
        if odd.len():
            msg = f"a rack cannot be {odd[0]!r}; states are: {', '.join(STATES)}"
            raise TwinError(msg, mend='state="degraded"')
    for name in (name for name in MEASURES if name in values.columns):
        if values[name].cast(pl.Float64).is_infinite().any():
            msg = f"{name} of a rack is infinite"
            raise TwinError(msg, mend=f"{name}=None  # for what is not known")
