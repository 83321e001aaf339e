"""Every query of curation, on documents made up for the purpose: what the GPU check translates.

There are enough rows for a planner to cut them into partitions, so that a query which would collapse onto one GPU
shows. The three operations on text that are no queries are `processors.Gpu`'s. This module computes nothing.

>>> list(queries())[:2]
['line ends', 'strip']
"""

import numpy as np
import polars as pl

from aifactory_lab.etl.curation import (
    decontamination,
    documents,
    duplicates,
    filters,
    near_duplicates,
    normalising,
    redaction,
    tags,
)

ROWS = 4_000


def sample(rows: int = ROWS) -> pl.DataFrame:
    """Return documents with their row: short texts, each of them three times, some held out."""
    texts = [f"Text number {row // 3} of {rows}, written by someone{row % 7}@example.org." for row in range(rows)]
    kinds = documents.KINDS
    made = documents.frame((f"{row:05}", kinds[row % len(kinds)], f"{row}.md", text) for row, text in enumerate(texts))
    return made.sort(documents.ORDER).with_row_index("row")


def queries() -> dict[str, pl.LazyFrame]:
    """Return each query by the name of what it finds."""
    whole = sample()
    frame = whole.lazy()
    random = np.random.default_rng(0)
    keys = near_duplicates.banded(random.integers(0, ROWS, (ROWS, 2), np.uint64)).lazy()
    places = pl.col("row").cast(pl.UInt32).rank("ordinal").cast(pl.UInt32).alias("place")
    words = frame.select(places, "row", pl.col("path").alias("piece")).collect().lazy()
    return {
        "line ends": normalising.line_ends(frame.select("text")),
        "strip": frame.select(normalising.strip()),
        "exact duplicates": duplicates.duplicates(frame.select("row", "text")),
        "quality": filters.failures(frame.select("row", "kind", "text")),
        "bands": near_duplicates.joined(keys),
        "passages": decontamination.passages(words),
        "collisions": decontamination.collisions(words, words.filter(pl.col("row") < 100).collect().lazy()),
        "redaction": redaction.counted(frame.select("row", "text"), tuple(redaction.PATTERNS)),
        "tags": tags.tags(frame.select("row", "text")),
    }
