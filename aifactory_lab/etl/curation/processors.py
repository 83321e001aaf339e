"""Where text is worked on: queries as they are, and the three operations on text that no cuDF query has.

Nearly all of curation is Polars queries, which cuDF runs as they stand. Three things cudf-polars 26.10 has no
expression for: to replace by a regular expression, to cut a text into its matches, and MinHash. cuDF itself has them
(`Series.str`), so there are two processors with the same four methods: `Host` (Polars and rensa) and `Gpu` (cuDF).
Hashes differ between the two; what is equal does not. This module does not know what the text is for.

>>> host = Host()
>>> host.replace(pl.Series(["a  b"]), " +", " ").to_list()
['a b']
>>> host.pieces(pl.DataFrame({"row": [7], "text": ["to be"]}), r"[a-z]+").rows()
[(0, 7, 'to'), (1, 7, 'be')]
"""

from typing import Any, Protocol

import polars as pl

from aifactory_lab.errors import require
from aifactory_lab.etl import engine
from aifactory_lab.etl.curation import minhash


class Processor(Protocol):
    """What curation asks of a machine."""

    name: str

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Run a query."""

    def replace(self, texts: pl.Series, pattern: str, by: str) -> pl.Series:
        """Replace every match of a regular expression (RE2's syntax) by a literal text."""

    def pieces(self, documents: pl.DataFrame, pattern: str) -> pl.DataFrame:
        """Return place, row, piece: the matches of a pattern in each text, in order."""

    def signatures(self, texts: pl.Series, settings: minhash.MinHash) -> minhash.Signatures:
        """Return MinHash signatures, (texts, hashes)."""


class Host:
    """Polars and rensa."""

    name = "cpu"

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Run a query on the cores."""
        return query.collect()

    def replace(self, texts: pl.Series, pattern: str, by: str) -> pl.Series:
        """Replace every match; ``$`` in `by` is a dollar."""
        return texts.str.replace_all(pattern, by.replace("$", "$$"))

    def pieces(self, documents: pl.DataFrame, pattern: str) -> pl.DataFrame:
        """Cut by `extract_all`."""
        cut = documents.select("row", pl.col("text").str.extract_all(pattern).alias("piece"))
        return cut.explode("piece", empty_as_null=False, keep_nulls=False).with_row_index("place")

    def signatures(self, texts: pl.Series, settings: minhash.MinHash) -> minhash.Signatures:
        """Hash windows by NumPy, sign by rensa."""
        return minhash.signatures(texts.to_list(), settings)


class Gpu:
    """cuDF on one GPU: proven against its signatures and its regular expressions, not yet run on a device."""

    name = "gpu"

    def __init__(self) -> None:
        self.cudf = require("cudf", extra="gpu")
        require("cudf_polars", extra="gpu")

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Run a query in the GPU's memory; what cuDF cannot run is an error, not a detour."""
        return query.collect(engine=pl.GPUEngine(executor="in-memory", raise_on_fail=True))

    def replace(self, texts: pl.Series, pattern: str, by: str) -> pl.Series:
        """Replace every match by `Series.str.replace`."""
        return self._down(self._up(texts).str.replace(pattern, by, regex=True), pl.String)

    def pieces(self, documents: pl.DataFrame, pattern: str) -> pl.DataFrame:
        """Cut by `Series.str.findall`; a text without a match has a null there, which goes."""
        cut = self._up(documents["text"]).str.findall(pattern)
        frame = self.cudf.DataFrame({"row": self._up(documents["row"]), "piece": cut}).explode("piece").dropna()
        found = {name: self._down(frame[name], dtype) for name, dtype in (("row", pl.UInt32), ("piece", pl.String))}
        return pl.DataFrame(found).with_row_index("place")

    def signatures(self, texts: pl.Series, settings: minhash.MinHash) -> minhash.Signatures:
        """Sign by `Series.str.minhash` (MurmurHash3), each hash permuted by a·h + b."""
        a, b = map(self.cudf.Series, minhash.permutations(settings))
        made = self._up(texts).str.minhash(seed=settings.seed, a=a, b=b, width=settings.width)
        flat = self._down(made.explode(), pl.UInt32).to_numpy()
        return flat.reshape(len(texts), settings.hashes)

    def _up(self, series: pl.Series) -> Any:
        return self.cudf.Series.from_arrow(series.to_arrow(compat_level=pl.CompatLevel.oldest()))

    def _down(self, series: Any, dtype: Any) -> pl.Series:
        return pl.Series(values=pl.from_arrow(series.to_arrow()), dtype=dtype)


def choose(name: str) -> tuple[Processor, engine.Choice]:
    """Return the processor for ``"auto"``, ``"cpu"`` or ``"gpu"``, and the choice with its reason.

    Raises
    ------
    DeviceError
        If there is no such engine, or a GPU was asked for that is not there.
    """
    choice = engine.choose(name)
    return (Host() if choice.device.kind == "cpu" else Gpu()), choice
