r"""One way to write the same text: Unicode composed, lines ended by a line feed, no trailing blanks.

Two copies of a text that differ in these alone become equal, and are then found by their hash. Indentation stays, for
in code it means something. Unicode composition (NFC) touches only texts that are not plain ASCII; no GPU library has
it, so those are composed on the host, as NeMo Curator's reformatter does. This module judges nothing.

>>> from aifactory_lab.etl.curation.processors import Host
>>> normalise(pl.Series(["caf\u0065\u0301 \r\n\r\n\r\n\r\n\r\n  end\n"]), Host()).to_list()
['café\n\n\n  end']
"""

import polars as pl

from aifactory_lab.etl.curation.processors import Processor

CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"  # all but tab and line feed; form feeds still divide some old sources
BLANKS = r"[ \t]+\n"
EMPTY_LINES = r"\n{4,}"


def line_ends(documents: pl.LazyFrame) -> pl.LazyFrame:
    """Return the query that ends lines by a line feed, and drops byte-order marks and soft hyphens."""
    text = pl.col("text").str.replace_all("\r\n", "\n", literal=True).str.replace_all("\r", "\n", literal=True)
    for nothing in ("\ufeff", "\u00ad"):
        text = text.str.replace_all(nothing, "", literal=True)
    return documents.with_columns(text)


def compose(texts: pl.Series) -> pl.Series:
    """Return the texts in Unicode's composed form (NFC, Unicode Standard Annex 15); ASCII is that already."""
    beyond = texts.str.len_bytes() != texts.str.len_chars()
    if not beyond.any():
        return texts
    frame = pl.DataFrame({"text": texts, "beyond": beyond})
    composed = frame.filter("beyond")["text"].str.normalize("NFC")
    return texts.clone().scatter(beyond.arg_true(), composed)


def normalise(texts: pl.Series, processor: Processor) -> pl.Series:
    """Return the texts, each in its one form; doing it again changes nothing."""
    texts = processor.collect(line_ends(texts.to_frame("text").lazy()))["text"]
    texts = compose(texts)
    for pattern, by in ((CONTROLS, ""), (BLANKS, "\n"), (EMPTY_LINES, "\n\n\n")):
        texts = processor.replace(texts, pattern, by)
    return processor.collect(texts.to_frame("text").lazy().select(strip()))["text"]


def strip() -> pl.Expr:
    """Return the text without empty lines before and white space after it."""
    return pl.col("text").str.strip_chars_start("\n").str.strip_chars_end(" \t\n")
