"""What racks do, as attributes of a hall: one value each, or one for each moment.

A frame has a row a rack and, where it holds several moments, a column ``seconds``. Numbers stay numbers, words words.

>>> frame = pl.DataFrame({"rack": [0, 1, 0, 1], "seconds": [0.0, 0.0, 60.0, 60.0], "watts": [9e4, 8e4, 9e4, 0.0]})
>>> [(seconds, part["watts"].to_list()) for seconds, part in moments(check(frame, racks=2))]
[(0.0, [90000.0, 80000.0]), (60.0, [90000.0, 0.0])]
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import TwinError

KEYS = ("rack", "seconds")
# Viridis (Smith and van der Walt, 2015; CC0) at five places, and the grey of what is not known
RAMP = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]) / 255
UNKNOWN = (0.10, 0.10, 0.11)
MEND = 'pl.DataFrame({"rack": [0, 1], "watts": [98e3, 101e3]})'


def check(values: pl.DataFrame, *, racks: int, by: str = "watts") -> pl.DataFrame:
    """Return a frame of values, its numbers as Float64 and its words as String, sorted by moment and rack.

    Raises
    ------
    TwinError
        If it has no column ``rack``, names a rack that is not there, or the same one twice at a moment; or if what
        gives the colour is no number.
    """
    if "rack" not in values.columns or len(values.columns) == 1:
        msg = f"values need a column 'rack' and one beside it, not {values.columns}"
        raise TwinError(msg, mend=MEND)
    strange = values.filter(~pl.col("rack").is_between(0, racks - 1) | pl.col("rack").is_null())["rack"]
    if strange.len():
        msg = f"values name rack {strange[0]!r}; the hall has 0 to {racks - 1}"
        raise TwinError(msg, mend="values.filter(pl.col('rack') < hall.racks.height)")
    if by in values.columns and not values[by].dtype.is_numeric():
        msg = f"racks cannot be coloured by {by!r}: it holds {values[by].dtype}, not numbers"
        raise TwinError(msg, mend='by="watts"')
    keys = [key for key in KEYS if key in values.columns]
    if values.select(keys).is_duplicated().any():
        msg = f"values name a rack twice: {values.filter(values.select(keys).is_duplicated()).select(keys).row(0)}"
        raise TwinError(msg, mend="a column 'seconds', or one row a rack")
    kept = values.select(*keys, (cs.numeric() | cs.boolean() | cs.string()) - cs.by_name(*keys))
    return kept.with_columns((cs.numeric() - cs.by_name("rack")).cast(pl.Float64), pl.col("rack").cast(pl.Int64)).sort(
        *reversed(keys)
    )


def moments(values: pl.DataFrame) -> Iterator[tuple[float | None, pl.DataFrame]]:
    """Yield each moment in seconds, None where there is just one, and its racks."""
    if "seconds" not in values.columns:
        yield None, values
        return
    for (seconds,), part in values.group_by("seconds", maintain_order=True):
        yield float(str(seconds)), part.drop("seconds")


def limits(column: pl.Series) -> tuple[float, float]:
    """Return between which values colours go: from the least to the most that is known."""
    known = column.fill_nan(None).drop_nulls()
    low, high = (float(str(end)) for end in (known.min(), known.max())) if known.len() else (0.0, 0.0)
    return low, (high if high > low else low + 1.0)


def colours(column: ArrayLike, low: float, high: float) -> NDArray[np.float32]:
    """Return the colour of each value, (count, 3); grey where it is not a number.

    Examples
    --------
    >>> colours([0.0, 1.0], 0.0, 1.0).round(2).tolist()
    [[0.27..., 0.0, 0.33...], [0.99..., 0.91..., 0.15...]]
    """
    values = np.asarray(column, np.float64)
    place = (len(RAMP) - 1) * np.clip((values - low) / (high - low), 0, 1)
    shown = np.stack([np.interp(place, range(len(RAMP)), RAMP[:, part]) for part in range(3)], axis=-1)
    return np.where(np.isnan(values)[:, None], UNKNOWN, shown).astype(np.float32)
