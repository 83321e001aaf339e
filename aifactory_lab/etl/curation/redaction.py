"""Redaction: addresses and keys give way to a word that says what stood there.

Patterns are RE2's syntax as far as cuDF's regular expressions share it, without look-around. They find what has an
unmistakable form: e-mail addresses, keys of well-known services, private keys. IPv4 addresses are found only when
asked for: a version of four numbers looks the same. Names of people are not found; that takes a model. This module
does not know whose address it is.

>>> from aifactory_lab.etl.curation.processors import Host
>>> redact(pl.Series(["Written by guido@python.org."]), Host()).to_list()
['Written by <EMAIL>.']
"""

from collections.abc import Sequence

import polars as pl

from aifactory_lab.errors import DataError
from aifactory_lab.etl.curation.processors import Processor

DOMAIN = r"(?:[A-Za-z0-9-]+\.)+[A-Za-z][A-Za-z]+"  # a last label of two letters or more: a@b.T multiplies matrices
PATTERNS = {
    "email": rf"[A-Za-z0-9._%+=-]+@{DOMAIN}",
    # AWS access keys, GitHub and Slack tokens, and PEM blocks, in the forms that their makers publish.
    "key": r"AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*-----END [A-Z ]*PRIVATE KEY-----",
    "ipv4": r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}",
}
DEFAULT = ("email", "key")


def word(kind: str) -> str:
    """Return what stands in the place of a kind: ``<EMAIL>``."""
    return f"<{kind.upper()}>"


def counted(documents: pl.LazyFrame, kinds: Sequence[str] = DEFAULT) -> pl.LazyFrame:
    """Return row and, for each kind, how many a text has; only texts with any."""
    counts = [pl.col("text").str.count_matches(PATTERNS[kind]).alias(kind) for kind in kinds]
    return documents.select("row", *counts).filter(pl.any_horizontal([pl.col(kind) > 0 for kind in kinds]))


def redact(texts: pl.Series, processor: Processor, kinds: Sequence[str] = DEFAULT) -> pl.Series:
    """Return the texts without what was looked for; doing it again changes nothing."""
    for kind in kinds:
        texts = processor.replace(texts, PATTERNS[kind], word(kind))
    return texts


def check(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds if all are known.

    Raises
    ------
    DataError
        If one is not.
    """
    unknown = [kind for kind in kinds if kind not in PATTERNS]
    if unknown:
        msg = f"nothing to redact is called {', '.join(unknown)}; there are: {', '.join(PATTERNS)}"
        raise DataError(msg, mend='etl.curation.run(documents, folder, redact=("email", "key"))')
    return tuple(kinds)
