"""The language reference and all docstrings, curated here and once more in plain Python: the same documents go."""

import polars as pl
import pytest

from aifactory_lab.etl import curation
from aifactory_lab.lm import corpus
from tests.benchmarks.curation_peers import plain_python as plain


@pytest.fixture(scope="module")
def library() -> pl.DataFrame:
    return corpus.standard_library(("docstring", "prose"))


def test_both_drop_and_redact_the_same(library, tmp_path, monkeypatch):
    """But for near duplicates: the ones found here are handed to the other, for hashes differ."""
    curated = curation.run(library, tmp_path, engine="cpu")
    path = tmp_path / "library.parquet"
    library.write_parquet(path)
    near = set(curated.dropped.filter(reason="near duplicate")["text"])
    monkeypatch.setattr(plain, "datasketch_near", lambda texts: [n for n, text in enumerate(texts) if text in near])
    rules = [(rule.measure, list(rule.kinds), rule.low, rule.high) for rule in curation.RULES]
    counts = dict(curated.funnel.select("stage", "dropped").rows())
    assert plain.whole(str(path), rules) == {
        "documents": library.height,
        "exact": counts["exact duplicates"],
        "quality": counts["quality"],
        "redacted": curated.report.details["redacted"]["email"],
        "near": counts["near duplicates"],
        "contaminated": counts["decontaminate"],
    }
    assert min(counts["exact duplicates"], counts["quality"], counts["decontaminate"]) > 0
