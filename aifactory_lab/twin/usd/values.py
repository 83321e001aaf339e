"""What racks do, as attributes of a hall: one value each, or one for each moment.

A frame has a row a rack and, where it holds several moments, a column ``seconds``. Numbers stay numbers, words words.

>>> frame = pl.DataFrame({"rack": [0, 1, 0, 1], "seconds": [0.0, 0.0, 60.0, 60.0], "watts": [9e4, 8e4, 9e4, 0.0]})
>>> [(seconds, part["watts"].to_list()) for seconds, part in moments(check(frame, racks=2))]
[(0.0, [90000.0, 80000.0]), (60.0, [90000.0, 0.0])]
"""

from collections.abc import Iterator

import polars as pl
import polars.selectors as cs

from aifactory_lab.errors import TwinError

KEYS = ("rack", "seconds")
MEND = 'pl.DataFrame({"rack": [0, 1], "watts": [98e3, 101e3]})'


def check(values: pl.DataFrame, *, racks: int) -> pl.DataFrame:
    """Return a frame of values, its numbers as Float64 and its words as String, sorted by moment and rack.

    Raises
    ------
    TwinError
        If it has no column ``rack``, names a rack that is not there, or the same one twice at a moment.
    """
    if "rack" not in values.columns or len(values.columns) == 1:
        msg = f"values need a column 'rack' and one beside it, not {values.columns}"
        raise TwinError(msg, mend=MEND)
    strange = values.filter(~pl.col("rack").is_between(0, racks - 1) | pl.col("rack").is_null())["rack"]
    if strange.len():
        msg = f"values name rack {strange[0]!r}; the hall has 0 to {racks - 1}"
        raise TwinError(msg, mend="values.filter(pl.col('rack') < hall.racks.height)")
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
