r"""Tags: what a kept document is like, for those who choose or weigh later.

Counts and shares, no judgement. English is told by Gopher's eight stop words: that separates prose from tables and
from code, not one language from another; a corpus of many languages needs a model that knows them. This module
removes nothing.

>>> documents = pl.LazyFrame({"row": [0], "text": ["The cat sat\non the mat with that hat."]})
>>> tags(documents).collect().select("characters", "lines", "words", "stop_words").rows()
[(37, 2, 9, 0.4444444444444444)]
"""

import polars as pl

from aifactory_lab.etl.curation.filters import MEASURES, STOP_WORDS

PLAIN = r"\s[A-Za-z]+[.,;:!?]?\s"


def tags(documents: pl.LazyFrame) -> pl.LazyFrame:
    """Return one row of tags for each document.

    Returns
    -------
    LazyFrame
        row; characters, lines, words; prose (share of words that are letters alone, but for a mark at their end);
        stop_words (share of words that are one of Gopher's eight), english (more than one in twenty, and two at
        least); has_docstring (three quotes after a line that ends in a colon, or at the start); has_licence (speaks
        of a licence or a copyright).
    """
    lower = pl.col("text").str.to_lowercase().str
    stops = lower.count_matches(STOP_WORDS).cast(pl.Float64)
    words = MEASURES["words"]
    share = stops / pl.max_horizontal(words, pl.lit(1.0))
    # Each blank twice, so that two neighbours need not share one.
    apart = pl.concat_str(pl.lit("\n"), "text", pl.lit("\n")).str.replace_all(" ", "  ", literal=True)
    plain = apart.str.replace_all("\n", "\n\n", literal=True).str.count_matches(PLAIN)
    quotes = r"""(?:^|:[^\S\n]*\n)\s*[ruRU]?(?:["]{3}|[']{3})"""
    return documents.select(
        "row",
        *(MEASURES[name].cast(pl.Int64).alias(name) for name in ("characters", "lines", "words")),
        prose=plain.cast(pl.Float64) / pl.max_horizontal(words, pl.lit(1.0)),
        stop_words=share,
        english=(share > 0.05) & (stops >= 2),
        has_docstring=pl.col("text").str.contains(quotes),
        has_licence=lower.contains("licen[cs]e|copyright"),
    )
