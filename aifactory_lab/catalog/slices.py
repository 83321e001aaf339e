"""Thin slices of the raw material, for those who want to see a thing run before they give it its time.

A slice keeps what belongs together: of the flights the aircraft whose numbers begin with the same two digits, with all
their legs; of the text every twelfth document. It says nothing about how good a model can be.

>>> 0 < documents().height < 2_000
True
"""

from functools import cache
from pathlib import Path

import polars as pl

from aifactory_lab import datasets
from aifactory_lab.aside import write_aside
from aifactory_lab.catalog.entry import FOLDER, Order
from aifactory_lab.datasets import RawMaterial

DIGITS = "37"
EVERY = 12


def flights(order: Order) -> RawMaterial:
    """Return the flights, or for a quick run those of about one aircraft in thirty."""
    whole = datasets.load("flights")
    return _slice(whole, order.workspace / FOLDER / "slices") if order.quick else whole


@cache
def documents() -> pl.DataFrame:
    """Return every twelfth document of the standard library."""
    from aifactory_lab import lm

    return lm.corpus.standard_library().gather_every(EVERY)


def _slice(whole: RawMaterial, folder: Path) -> RawMaterial:
    path = folder / "flights.parquet"
    if not path.exists():
        kept = whole["flights"].filter(pl.col("tailnum").str.extract(r"(\d\d)", 1) == DIGITS)
        with write_aside(path) as aside:
            kept.sink_parquet(aside)
    return RawMaterial("flights", {**whole.paths, "flights": (path,)})
