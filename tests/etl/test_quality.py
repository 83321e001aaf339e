"""The data-quality report against pandas, numpy and what is known of the published flights."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab import datasets
from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.etl import quality
from aifactory_lab.etl.quality import FLIGHTS_JOINS, Join
from tests.etl.test_drift import features


@pytest.fixture(scope="module")
def described() -> dict[tuple[str, str], dict[str, object]]:
    frame = quality.columns(datasets.load("flights"))
    return {(row["table"], row["column"]): row for row in frame.rows(named=True)}


@pytest.fixture
def material(tmp_path):
    """Write frames as the tables of a raw material."""

    def material(**frames: pl.DataFrame) -> RawMaterial:
        paths = {}
        for name, frame in frames.items():
            paths[name] = (tmp_path / f"{name}.parquet",)
            frame.write_parquet(paths[name][0])
        return RawMaterial("m", paths)

    return material


def test_every_column_of_every_table_is_described(described):
    raw = datasets.load("flights")
    assert list(described) == [
        (name, column) for name, table in raw.tables.items() for column in table.collect_schema()
    ]


@pytest.mark.parametrize("table", ["flights", "weather", "planes"])
def test_the_figures_agree_with_pandas(described, table):
    frame = datasets.load("flights")[table].collect().to_pandas()
    for column in frame:
        row, values = described[table, column], frame[column]
        assert row["missing"] == pytest.approx(values.isna().mean())
        assert row["distinct"] == values.nunique()
        if values.dtype != object and values.dtype.kind in "if":
            assert float(row["minimum"]) == pytest.approx(values.min(), rel=1e-5)
            assert float(row["maximum"]) == pytest.approx(values.max(), rel=1e-5)


def test_the_known_defects_of_the_flights_show(described):
    assert described["planes", "speed"]["missing"] == pytest.approx(0.993, abs=1e-3)
    assert described["weather", "wind_gust"]["missing"] == pytest.approx(0.796, abs=1e-3)
    assert described["flights", "dep_time"]["missing"] == pytest.approx(8255 / 336776)
    assert described["weather", "wind_speed"]["maximum"] == "1048.36"
    assert described["weather", "wind_speed"]["outliers"] > 0


def test_nan_counts_as_missing_and_stays_out_of_the_range(material):
    raw = material(t=pl.DataFrame({"x": [1.0, float("nan"), None, 3.0]}))
    row = quality.columns(raw).row(0, named=True)
    assert (row["missing"], row["distinct"], row["minimum"], row["maximum"]) == (0.5, 2, "1", "3")


def test_outliers_lie_beyond_tukeys_outer_fences(material):
    """Quartiles of 0..100 are 25 and 75, so the fences are −125 and 225."""
    values = [*range(101), -126, -125, 225, 226]
    raw = material(t=pl.DataFrame({"x": values, "flat": [1] * 105, "word": ["a"] * 105}))
    found = dict(quality.columns(raw).select("column", "outliers").rows())
    low, high = np.quantile(values, [0.25, 0.75])
    beyond = [v for v in values if v < low - 3 * (high - low) or v > high + 3 * (high - low)]
    assert found == {"x": pytest.approx(len(beyond) / 105), "flat": None, "word": None}


@pytest.mark.parametrize(
    "frame", [pl.DataFrame({"x": pl.Series([], dtype=pl.Int64)}), pl.DataFrame({"x": [None, None]})]
)
def test_empty_and_hollow_tables_are_described_too(material, frame):
    row = quality.columns(material(t=frame)).row(0, named=True)
    assert row["distinct"] == 0
    assert row["minimum"] is None
    assert row["missing"] == (1.0 if frame.height else 0.0)


def test_join_coverage_is_what_is_published():
    frame = quality.coverage(datasets.load("flights"), FLIGHTS_JOINS)
    shares = dict(frame.select("join", "coverage").rows())
    assert shares == {
        "flights → planes": pytest.approx(0.844, abs=1e-3),
        "flights → weather": pytest.approx(0.995, abs=1e-3),
        "flights → airports": pytest.approx(0.977, abs=1e-3),
        "flights → airlines": 1.0,
    }
    assert frame.filter(join="flights → planes")["keyed"].item() == 336776 - 2512
    assert frame.filter(join="flights → airports")["without"].item() == "SJU (5,819), BQN (896), STT (522)"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=40),
    st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=20),
)
def test_coverage_counts_as_plain_python_does(tmp_path_factory, left, right):
    """Repeated keys on the right multiply nothing; a null matches nothing."""
    folder = tmp_path_factory.mktemp("join")
    for name, values in (("a", left), ("b", right)):
        pl.DataFrame({"k": pl.Series(values, dtype=pl.Int64)}).write_parquet(folder / f"{name}.parquet")
    raw = RawMaterial("m", {name: (folder / f"{name}.parquet",) for name in ("a", "b")})
    row = quality.coverage(raw, [Join("a", "b", ("k",))]).row(0, named=True)
    matched = sum(value is not None and value in right for value in left)
    assert (row["rows"], row["keyed"], row["matched"]) == (len(left), len(left) - left.count(None), matched)


def test_the_report_gathers_the_three_frames_and_draws_them_as_html(material, tmp_path):
    raw = material(a=pl.DataFrame({"k": [1, 2]}), b=pl.DataFrame({"k": [1]}))
    folder = features(tmp_path / "f", {"x": [1.0, 2.0]}, {"x": [1.0, 2.0]})
    full = quality.report(raw, joins=[Join("a", "b", ("k",))], features=folder)
    assert (full.columns.height, full.coverage["coverage"].item(), full.drift.height) == (2, 0.5, 1)
    html = full._repr_html_()
    assert [title in html for title in ("Columns", "Join coverage", "Drift, train to test")] == [True] * 3
    assert "a → b" in html
    plain = quality.report(raw)
    assert "Join coverage" not in plain._repr_html_()
