"""Readers of a user's own data: tables as CSV, JSON lines and Parquet, corpora, pairs."""

from functools import cache
from typing import Any

import polars as pl

from aifactory_lab.datasets.files import material
from aifactory_lab.lm import folders, pairs
from tests.fuzz.contract import Target
from tests.fuzz.scratch import emptied, put

CSV = b'when;late;carrier\n2013-01-01;3;UA\n2013-01-02;0.5;\n2013-01-03;;"a;b"\n'
LINES = b'{"when": "2013-01-01", "late": 3, "tags": ["a"]}\n{"when": null, "late": 0.5, "tags": []}\n'
CORPUS = b'{"text": "import os"}\n\n{"text": "def f(x): return x"}\n'


def table(suffix: str, data: bytes) -> Any:
    """Load a file as a table, and read all of it."""
    folder = emptied("table")
    (folder / f"mine{suffix}").write_bytes(data)
    return material(str(folder / f"mine{suffix}"))["mine"].collect()


def corpus(suffix: str, data: bytes) -> Any:
    """Read a folder of texts."""
    put(f"corpus/other{suffix}", data)
    return folders.files(str(put(f"corpus/mine{suffix}", data).parent))


def asked(data: bytes) -> Any:
    """Read pairs of prompt and answer."""
    return pairs.read(put("pairs.jsonl", data))


@cache
def _parquet() -> bytes:
    path = put("seed.parquet", b"")
    pl.DataFrame({"late": [1.0, None, 3.0], "who": ["a", "b", None], "tags": [["x"], [], None]}).write_parquet(path)
    return path.read_bytes()


def targets() -> tuple[Target, ...]:
    """Return the readers of a user's data."""
    many = b"".join(b'{"prompt": "p%d", "answer": "a", "group": "g%d"}\n' % (n, n) for n in range(40))
    return (
        Target("CSV", lambda data: table(".csv", data), (CSV, CSV.replace(b";", b",")), words=(b'"', b";", b"\t")),
        Target("JSON lines", lambda data: table(".jsonl", data), (LINES,)),
        Target("Parquet", lambda data: table(".parquet", data), (_parquet(),)),
        Target("corpus, JSON lines", lambda data: corpus(".jsonl", data), (CORPUS,)),
        Target("corpus, Python", lambda data: corpus(".py", data), (b"# coding: latin-1\nimport os\n",)),
        Target("pairs", asked, (many,)),
    )
