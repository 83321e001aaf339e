"""Curation on cuDF: every query that a run makes translates, and the three operations that are no queries bind."""

import inspect

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from aifactory_lab.etl import curation
from aifactory_lab.etl.curation import decontamination, documents, minhash, normalising, processors, redaction, station
from aifactory_lab.etl.curation.queries import queries, sample
from aifactory_lab.etl.translation import gpu_check

pytestmark = pytest.mark.rapids
NATIVE = (
    normalising.CONTROLS,
    normalising.BLANKS,
    normalising.EMPTY_LINES,
    decontamination.WORD,
    *redaction.PATTERNS.values(),
)


class Checked(processors.Host):
    """Polars, asking of each query whether cuDF can run it; signatures by cuDF's formula, for rensa is not here."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        assert gpu_check(query) == []
        self.seen.append(query.explain())
        return super().collect(query)

    def signatures(self, texts: pl.Series, settings: minhash.MinHash) -> minhash.Signatures:
        return signed(texts.to_list(), *minhash.permutations(settings), settings.width)


def signed(texts: list[str], a: np.ndarray, b: np.ndarray, width: int) -> minhash.Signatures:
    """Signatures as `nvtext::minhash` computes them, but for its MurmurHash3: min of (a·h + b) mod (2^61 − 1)."""
    prime, rows = (1 << 61) - 1, []
    for text in texts:
        windows = {text[i : i + width] for i in range(len(text) - width + 1)}
        h = pd.util.hash_array(np.array(sorted(windows), dtype=object)).astype(object) % (1 << 32)
        permuted = (h[:, None] * a.astype(object) + b.astype(object)) % prime % (1 << 32)
        rows.append(permuted.min(axis=0).astype(np.uint32))
    return np.stack(rows)


@pytest.fixture
def checked(monkeypatch) -> Checked:
    made = Checked()
    choice = processors.engine.choose("cpu")
    monkeypatch.setattr(station, "choose", lambda _: (made, choice))
    return made


def test_every_query_of_a_whole_run_translates_to_cudf(checked, tmp_path):
    base = "Return the canonical path of file number {}, without any symbolic link that stood in it. "
    rows = [(f"{n}.md", documents.KINDS[n % 4], f"{n}.md", base.format(n % 30) * (2 + n % 3)) for n in range(60)]
    rows.append(("mail.md", "docstring", "mail.md", "Ask somebody@example.org before you change this one line."))
    curated = curation.run(documents.frame(rows), tmp_path, engine="cpu")
    assert {"exact duplicate", "near duplicate"} <= set(curated.dropped["reason"])
    assert curated.report.details["redacted"]["email"] == 1
    assert len(checked.seen) == len(queries()) - 1  # passages are a part of collisions


def test_no_query_collapses_to_one_of_several_gpus():
    for name, query in queries().items():
        for ranks in (0, 2, 8):
            assert gpu_check(query, ranks=ranks) == [], name


@pytest.mark.parametrize("pattern", NATIVE)
def test_cudf_knows_every_regular_expression(pattern):
    import pylibcudf

    flags = pylibcudf.strings.regex_flags.RegexFlags.DEFAULT
    assert pylibcudf.strings.regex_program.RegexProgram.create(pattern, flags)


def test_the_calls_into_cudf_bind():
    """As `processors.Gpu` makes them; running any of them needs a device."""
    import cudf

    source = inspect.getsource(processors.Gpu)
    text = type(cudf.Series.str) if not inspect.isclass(cudf.Series.str) else cudf.Series.str
    text = text if hasattr(text, "minhash") else cudf.core.accessors.string.StringMethods
    inspect.signature(text.replace).bind(None, "a", "b", regex=True)
    inspect.signature(text.findall).bind(None, "a")
    inspect.signature(text.minhash).bind(None, seed=42, a=None, b=None, width=24)
    inspect.signature(cudf.Series.from_arrow).bind(pa.array(["a"]))
    inspect.signature(cudf.Series.explode).bind(None)
    inspect.signature(cudf.Series.to_arrow).bind(None)
    inspect.signature(cudf.DataFrame.explode).bind(None, "piece")
    inspect.signature(cudf.DataFrame.dropna).bind(None)
    for word in (
        ".str.replace(pattern, by, regex=True)",
        ".str.findall(pattern)",
        "width=settings.width",
        '.explode("piece")',
    ):
        assert word in source


class Pandas:
    """As much of cuDF's surface as `processors.Gpu` uses, on pandas: what stands in for a device here."""

    class Series(pd.Series):
        @property
        def _constructor(self):
            return Pandas.Series

        @classmethod
        def from_arrow(cls, array):
            return cls(array.to_pandas())

        def to_arrow(self):
            return pa.array(self.to_list())

    class DataFrame(pd.DataFrame):
        _constructor_sliced = property(lambda _: Pandas.Series)
        _constructor = property(lambda _: Pandas.DataFrame)


@pytest.fixture
def gpu() -> processors.Gpu:
    made = processors.Gpu.__new__(processors.Gpu)
    made.cudf = Pandas
    return made


def test_both_processors_replace_and_cut_alike(gpu):
    frame = sample(300).vstack(sample(1).with_columns(row=pl.lit(999, pl.UInt32), text=pl.lit("  ")))
    host = processors.Host()
    assert_frame_equal(gpu.pieces(frame, decontamination.WORD), host.pieces(frame, decontamination.WORD))
    email = redaction.PATTERNS["email"]
    assert_series_equal(
        gpu.replace(frame["text"], email, "<EMAIL>"), host.replace(frame["text"], email, "<EMAIL>"), check_names=False
    )


def test_signatures_come_down_as_a_matrix(gpu, monkeypatch):
    texts = [f"text number {n} with its own few windows" for n in range(5)]

    class Text:
        def __init__(self, series):
            self.series = series

        def minhash(self, seed, a, b, width):
            assert seed == minhash.DEFAULT.seed
            made = signed(self.series.to_list(), a.to_numpy(), b.to_numpy(), width)
            return Pandas.Series([row.tolist() for row in made])

    monkeypatch.setattr(Pandas.Series, "str", property(Text))
    made = gpu.signatures(pl.Series(texts), minhash.DEFAULT)
    assert made.shape == (5, 260)
    assert made.dtype == np.uint32
    np.testing.assert_array_equal(made, signed(texts, *minhash.permutations(), 24))


def test_cudfs_formula_estimates_the_similarity_too():
    first = "the quick brown fox jumps over the lazy dog and runs away " * 2
    second = first.replace("lazy", "tired")
    made = signed([first, second], *minhash.permutations(), 24)
    assert float(np.mean(made[0] == made[1])) == pytest.approx(minhash.jaccard(first, second), abs=0.1)
