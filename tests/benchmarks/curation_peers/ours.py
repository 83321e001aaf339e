"""Our contestants: the whole curation, and its search for near duplicates alone."""

import tempfile
from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import rensa
import scipy.sparse.csgraph  # noqa: F401 (imports are not counted, whoever makes them)

from aifactory_lab.etl import curation
from aifactory_lab.etl.curation import minhash
from aifactory_lab.etl.curation.near_duplicates import near_duplicates
from aifactory_lab.etl.curation.processors import Host


def whole(path: str) -> dict[str, Any]:
    """Curate into a folder, with everything it writes."""
    found = pl.read_parquet(path)
    with tempfile.TemporaryDirectory() as out:
        curated = curation.run(found, out, engine="cpu")
        went = Counter(reason.split(":")[0] for reason in curated.dropped["reason"])
        return {
            "documents": found.height,
            "exact": went["exact duplicate"],
            "quality": went["quality"],
            "redacted": curated.report.details["redacted"]["email"],
            "near": went["near duplicate"],
            "contaminated": went["contaminated"],
        }


def near(path: str) -> dict[str, Any]:
    """Windows hashed by NumPy, signed by rensa; banded and joined by Polars."""
    frame = pl.read_parquet(path)
    return {"documents": frame.height, "near": near_duplicates(frame, Host()).height}


def rensa_sets(path: str) -> dict[str, Any]:
    """The same, but for windows that are cut in Python and hashed by rensa."""

    class Sets(Host):
        def signatures(self, texts: pl.Series, settings: minhash.MinHash) -> minhash.Signatures:
            width, made = settings.width, []
            for start in range(0, len(texts), 256):
                cut = [
                    [text[i : i + width] for i in range(len(text) - width + 1)] for text in texts[start : start + 256]
                ]
                matrix = rensa.RMinHash.digest_matrix_from_token_sets(cut, settings.hashes, settings.seed)
                made.append(np.array(matrix.to_rows(), np.uint32))
            return np.concatenate(made)

    frame = pl.read_parquet(path)
    return {"documents": frame.height, "near": near_duplicates(frame, Sets()).height}
