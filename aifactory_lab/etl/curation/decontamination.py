"""Decontamination: training documents that hold passages of the held-out ones.

A passage is 13 words in a row, in lower case and without punctuation, as in GPT-3's appendix C (Brown et al. 2020,
arXiv 2005.14165), and a passage that more than 10 training documents have is boilerplate and counts for nothing,
as there. GPT-3 cut the 200 characters around a passage out; here a document goes whole, once too large a share of its
passages is known from the held-out ones. This module does not know how texts were cut into words.

>>> from aifactory_lab.etl.curation.processors import Host
>>> text = "one two three four five six seven eight nine ten eleven twelve thirteen"
>>> held = words(pl.DataFrame({"row": [0], "text": [f"{text} a b"]}), Host())
>>> ours = words(pl.DataFrame({"row": [1], "text": [f"z {text.title()}!"]}), Host())
>>> collisions(ours.lazy(), held.lazy()).collect().rows()
[(1, 1, 0, 2)]
"""

import polars as pl

from aifactory_lab.etl.curation.processors import Processor

WORDS = 13
MOST = 10  # training documents with a passage; beyond, it is boilerplate
WORD = r"[^\W_]+"
BASE = 0x9E3779B97F4A7C15  # odd: the base of the rolling hash over words


def words(documents: pl.DataFrame, processor: Processor) -> pl.DataFrame:
    """Return place, row, piece: every word of every text, in order and in lower case."""
    lower = documents.select(pl.col("row").cast(pl.UInt32), pl.col("text").str.to_lowercase())
    return processor.pieces(lower, WORD)


def passages(found: pl.LazyFrame) -> pl.LazyFrame:
    """Return row, passage: the hash of every 13 words in a row; nothing for a document with fewer.

    The hash of a run is built by doubling: of 1, 2, 4 and 8 words, then 12, then 13.

    Parameters
    ----------
    found
        place (in order within a row), row, piece.
    """
    frame = found.select("place", "row", one=pl.col("piece").hash(0))
    for name, head, tail, length in (
        ("two", "one", "one", 1),
        ("four", "two", "two", 2),
        ("eight", "four", "four", 4),
        ("twelve", "eight", "four", 8),
        ("passage", "twelve", "one", 12),
    ):
        frame = frame.with_columns((pl.col(head) * _power(length) + _ahead(tail, length)).alias(name))
    return frame.filter(pl.col("passage").is_not_null()).select("row", "passage")  # none reaches past a text's end


def _ahead(name: str, places: int) -> pl.Expr:
    return pl.col(name).shift(-places).over("row", order_by="place")


def _power(exponent: int) -> pl.Expr:
    return pl.lit(pow(BASE, exponent, 1 << 64), dtype=pl.UInt64)


def collisions(ours: pl.LazyFrame, held: pl.LazyFrame, *, most: int = MOST) -> pl.LazyFrame:
    """Return the training documents that share a passage with a held-out one.

    Parameters
    ----------
    ours, held
        Words of the training documents, and of the held-out ones: place, row, piece.
    most
        Training documents with a passage; one that more have is boilerplate.

    Returns
    -------
    LazyFrame
        row; hits (its passages that are held out too, boilerplate aside); example (the first held-out row that has
        one of them); passages (all that it has).
    """
    known = passages(held).group_by("passage").agg(pl.col("row").min().alias("example"))
    shared = passages(ours).join(known, on="passage")
    spread = shared.unique(["row", "passage"]).group_by("passage").agg(pl.len().alias("documents"))
    rare = spread.filter(pl.col("documents") <= most).select("passage")
    hits = shared.join(rare, on="passage", how="semi").group_by("row")
    whole = ours.group_by("row").agg((pl.len().cast(pl.Int64) - (WORDS - 1)).alias("passages"))
    return hits.agg(pl.len().alias("hits"), pl.col("example").min()).join(whole, on="row")
