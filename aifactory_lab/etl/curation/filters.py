"""Quality filters: what a text is measured by, within which limits, and who says so.

The measures are Gopher's (Rae et al. 2021, arXiv 2112.11446, appendix A1.1), C4's (Raffel et al. 2020, arXiv
1910.10683, §2.2), StarCoder's (Li et al. 2023, arXiv 2305.06161, §3) and NeMo Curator's
(NVIDIA-NeMo/Curator, stages/text/filters/heuristic: string.py, code/code.py, repetition.py). Their limits were made
for web pages; 85 % of all docstrings have fewer than Gopher's 50 words, so each kind of document has limits of its
own, and `source` says which were changed. This module does not remove anything: it names the first rule that fails.

>>> documents = pl.LazyFrame({"row": [0, 1], "kind": "docstring", "text": ["Return the canonical path.", "3.1.4"]})
>>> failures(documents).collect().select("row", "rule", "value").rows()
[(1, 'words', 1.0)]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

TEXT = pl.col("text")
PROSE = ("prose", "text")
STOP_WORDS = r"\b(?:the|be|to|of|and|that|have|with)\b"  # Gopher's eight
ENDLESS = 1e18


def _share(matches: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """Return matches ÷ whole; an empty whole counts as one."""
    return matches.cast(pl.Float64) / pl.max_horizontal(whole, pl.lit(1)).cast(pl.Float64)


def _count(pattern: str) -> pl.Expr:
    return TEXT.str.count_matches(pattern).cast(pl.Int64)


CHARACTERS = TEXT.str.len_chars().cast(pl.Int64)
WORDS = _count(r"\S+")
SPACES = _count(r"\s")
LINES = _count(r"\n") + 1
LEADING = pl.concat_str(pl.lit("\n"), TEXT).str  # so that every line, the first too, follows a line feed
TRAILING = pl.concat_str(TEXT, pl.lit("\n")).str

MEASURES: dict[str, pl.Expr] = {
    "characters": CHARACTERS.cast(pl.Float64),
    "words": WORDS.cast(pl.Float64),
    "lines": LINES.cast(pl.Float64),
    "mean word length": _share(CHARACTERS - SPACES, WORDS),
    "mean line length": _share(CHARACTERS, LINES),
    "characters that are letters": _share(_count(r"[^\W\d_]"), CHARACTERS),
    "characters neither letter nor digit": _share(CHARACTERS - _count(r"[^\W_]"), CHARACTERS),
    "characters that are digits": _share(_count(r"[0-9]"), CHARACTERS),
    "characters that are white space": _share(SPACES, CHARACTERS),
    "hashes and ellipses per word": _share(_count("#") + _count(r"\.\.\.|…"), WORDS),
    "words with a letter": _share(_count(r"\S*[^\W\d_]\S*"), WORDS),
    "stop words": TEXT.str.to_lowercase().str.count_matches(STOP_WORDS).cast(pl.Float64),
    "lines with a bullet": _share(LEADING.count_matches(r"\n[ \t]*[-*•]").cast(pl.Int64), LINES),
    "lines that end in an ellipsis": _share(TRAILING.count_matches(r"(?:\.\.\.|…)\n").cast(pl.Int64), LINES),
    "lines that are a comment": _share(LEADING.count_matches(r"\n[ \t]*#").cast(pl.Int64), LINES),
    "lorem ipsum": _count("(?:lorem|Lorem) ipsum").cast(pl.Float64),
    "XML header": TEXT.str.head(100).str.contains("<?xml version=", literal=True).cast(pl.Float64),
    "words of 1,000 characters": TEXT.str.contains(r"\S{500}\S{500}").cast(pl.Float64),
}


@dataclass(frozen=True)
class Rule:
    """One limit.

    Attributes
    ----------
    measure
        A name in `MEASURES`.
    kinds
        Kinds of documents that it judges.
    low, high
        Both allowed.
    source
        Whose measure and limits, and what was changed.
    """

    measure: str
    kinds: tuple[str, ...]
    low: float
    high: float
    source: str

    def __str__(self) -> str:
        high = "" if self.high == ENDLESS else f" to {self.high:g}"
        return f"{self.low:g}{high or ' or more'}"


RULES = (
    Rule("words", PROSE, 50, 100_000, "Gopher; NeMo Curator WordCountFilter"),
    Rule("words", ("docstring",), 4, 100_000, "Gopher; from 50, for one sentence is a whole docstring"),
    Rule("lines", ("code",), 10, 20_000, "NeMo Curator NumberOfLinesOfCodeFilter"),
    Rule("mean word length", PROSE, 3, 10, "Gopher; NeMo Curator MeanWordLengthFilter"),
    Rule("mean word length", ("docstring",), 2.5, 14, "Gopher; from 3 to 10, for names of functions are words"),
    Rule("mean line length", ("code",), 0, 100, "StarCoder; NeMo Curator PerExtensionFilter"),
    Rule("words of 1,000 characters", (*PROSE, "docstring", "code"), 0, 0, "C4; NeMo Curator LongWordFilter"),
    Rule("characters that are letters", ("code",), 0.25, 1, "StarCoder; NeMo Curator AlphaFilter"),
    Rule(
        "characters neither letter nor digit",
        PROSE,
        0,
        0.5,
        "NeMo Curator NonAlphaNumericFilter; from 0.25: markup",
    ),
    Rule("characters neither letter nor digit", ("docstring",), 0, 0.5, "the same; from 0.25, for examples"),
    Rule("characters that are digits", (*PROSE, "docstring"), 0, 0.15, "NeMo Curator NumbersFilter"),
    Rule("characters that are white space", PROSE, 0, 0.4, "NeMo Curator WhiteSpaceFilter; from 0.25, for indentation"),
    Rule("characters that are white space", ("docstring",), 0, 0.5, "the same; from 0.25, for indentation"),
    Rule("hashes and ellipses per word", (*PROSE, "docstring"), 0, 0.1, "Gopher; NeMo Curator SymbolsToWordsFilter"),
    Rule("words with a letter", (*PROSE, "docstring"), 0.6, 1, "Gopher; from 0.8, for operators stand alone"),
    Rule("stop words", PROSE, 2, ENDLESS, "Gopher; NeMo Curator CommonEnglishWordsFilter"),
    Rule("lines with a bullet", (*PROSE, "docstring"), 0, 0.9, "Gopher; NeMo Curator BulletsFilter"),
    Rule("lines that end in an ellipsis", (*PROSE, "docstring"), 0, 0.3, "Gopher; NeMo Curator EllipsisFilter"),
    Rule("lines that are a comment", ("code",), 0, 0.85, "NeMo Curator PythonCommentToCodeFilter; of lines"),
    Rule("lorem ipsum", (*PROSE, "docstring"), 0, 0, "C4; NeMo Curator BoilerPlateStringFilter"),
    Rule("XML header", ("code",), 0, 0, "StarCoder; NeMo Curator XMLHeaderFilter"),
)


def failures(documents: pl.LazyFrame, rules: Sequence[Rule] = RULES) -> pl.LazyFrame:
    """Return the first rule that each document fails.

    Parameters
    ----------
    documents
        row, kind, text. A kind that no rule names is judged as ``"text"``.

    Returns
    -------
    LazyFrame
        row, number (of the rule among `rules`), rule (its measure), value (what was measured).
    """
    named = sorted({kind for rule in rules for kind in rule.kinds})
    known = documents.with_columns(
        kind=pl.when(pl.col("kind").is_in(named)).then(pl.col("kind")).otherwise(pl.lit("text"))
    )
    return pl.concat([_judge(known, kind, rules) for kind in named] or [_nothing(documents)])


def _judge(documents: pl.LazyFrame, kind: str, rules: Sequence[Rule]) -> pl.LazyFrame:
    """Measure the documents of one kind by its rules alone."""
    mine = [(number, rule) for number, rule in enumerate(rules) if kind in rule.kinds]
    measured = documents.filter(pl.col("kind") == kind).select(
        "row", *(MEASURES[rule.measure].alias(str(number)) for number, rule in mine)
    )
    number, value = pl.lit(None, dtype=pl.Int64), pl.lit(None, dtype=pl.Float64)
    for place, rule in reversed(mine):
        outside = ~pl.col(str(place)).is_between(rule.low, rule.high)
        number = pl.when(outside).then(pl.lit(place, dtype=pl.Int64)).otherwise(number)
        value = pl.when(outside).then(pl.col(str(place))).otherwise(value)
    name = pl.lit(None, dtype=pl.String)
    for place, rule in mine:
        name = pl.when(pl.col("number") == place).then(pl.lit(rule.measure)).otherwise(name)
    failed = measured.select("row", number=number, value=value).filter(pl.col("number").is_not_null())
    return failed.select("row", "number", name.alias("rule"), "value")


def _nothing(documents: pl.LazyFrame) -> pl.LazyFrame:
    empty = documents.select("row").head(0)
    return empty.with_columns(number=pl.lit(0, dtype=pl.Int64), rule=pl.lit(""), value=pl.lit(0.0))


def table(rules: Sequence[Rule] = RULES) -> pl.DataFrame:
    """Return the rules as a frame: measure, kinds, allowed, source."""
    rows = [(rule.measure, ", ".join(rule.kinds), str(rule), rule.source) for rule in rules]
    return pl.DataFrame(rows, schema=["measure", "kinds", "allowed", "source"], orient="row")
