"""Exact duplicates: documents whose text is the same, found by its hash.

Two 64-bit hashes and the length stand for the text, so that on several machines only they travel. Of a group the first
row stays; the caller has put held-out documents first. This module does not compare what is merely alike.

>>> documents = pl.LazyFrame({"row": [0, 1, 2], "text": ["a", "b", "a"]}, schema_overrides={"row": pl.UInt32})
>>> duplicates(documents).collect().rows()
[(2, 0)]
"""

import polars as pl

KEYS = ("first hash", "second hash", "bytes")


def duplicates(documents: pl.LazyFrame) -> pl.LazyFrame:
    """Return row, first: every document that repeats an earlier one, and the earliest with its text.

    Parameters
    ----------
    documents
        row (unique, UInt32) and text.
    """
    text = pl.col("text")
    keyed = documents.select("row", **dict(zip(KEYS, (text.hash(0), text.hash(1), text.str.len_bytes()), strict=True)))
    first = keyed.group_by(KEYS).agg(pl.col("row").min().alias("first"))
    return keyed.join(first, on=KEYS).filter(pl.col("row") != pl.col("first")).select("row", "first")
