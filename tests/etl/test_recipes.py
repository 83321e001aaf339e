"""The flights recipe as a whole: what comes out, and that order, engine, slices and copies do not matter."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from aifactory_lab import datasets, etl
from aifactory_lab.datasets.copies import multiply
from aifactory_lab.errors import DataError
from aifactory_lab.etl import recipes, slices
from tests.etl.sample import CARRIERS, tables

RECIPE = recipes.flights()
KEYS = list(RECIPE.keys)


@pytest.fixture(scope="module")
def whole() -> pl.DataFrame:
    return RECIPE.query(tables()).collect(engine="streaming").sort(KEYS)


def test_what_comes_out_is_what_the_specification_says(whole):
    spec = RECIPE.spec
    features = [*spec.columns(), *spec.columns("leak")]
    assert whole.columns == [*KEYS, spec.target, spec.split, *features]
    assert set(whole.select(features).dtypes) == {pl.Float32}
    assert whole.schema["sched_dep"] == pl.Datetime("us", "UTC")
    assert whole.schema["late"] == pl.Int8
    assert set(spec.descriptions) == set(features)
    assert "dep_delay" not in spec.columns()


def test_one_row_per_flight_with_a_known_arrival(whole):
    raw = tables()["flights"].collect()
    assert whole.height == raw["arr_delay"].count()
    assert whole.select(KEYS).is_duplicated().sum() == 0
    late = raw.filter(pl.col("arr_delay") > 15).height
    assert whole["late"].sum() == late


def test_features_hold_no_nan_and_no_infinity(whole):
    features = whole.select(pl.selectors.float())
    assert features.select(pl.all().is_nan().any() | pl.all().is_infinite().any()).sum_horizontal().item() == 0


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_in_the_files_changes_nothing(seed):
    raw = {name: frame.collect().sample(fraction=1, shuffle=True, seed=seed).lazy() for name, frame in tables().items()}
    first = RECIPE.query(tables()).collect().sort(KEYS)
    assert_frame_equal(RECIPE.query(raw).collect().sort(KEYS), first, check_exact=True)


def test_streaming_and_in_memory_give_the_same_bits(whole):
    assert_frame_equal(whole, RECIPE.query(tables()).collect(engine="in-memory").sort(KEYS), check_exact=True)


def test_a_second_year_does_not_change_the_first_and_slices_do_not_change_either(tmp_path):
    published = datasets.load("flights")
    three = published["flights"].filter(pl.col("carrier").is_in(CARRIERS))
    three.sink_parquet(tmp_path / "flights.parquet")
    year = datasets.RawMaterial("some", {**published.paths, "flights": (tmp_path / "flights.parquet",)})
    rows = three.select(pl.len()).collect().item()
    two = multiply(year, 2, tmp_path / "copies")
    first = RECIPE.query(year.tables).collect(engine="streaming").sort(KEYS)
    both = RECIPE.query(two.tables).collect(engine="streaming").sort(KEYS)
    assert both.height == 2 * first.height
    assert_frame_equal(both.head(first.height), first, check_exact=True)
    parts = slices.plan(RECIPE, two, rows=rows * 2 // 3 + 1)
    assert len(parts) == 3
    assert sum(slices.write(RECIPE, two, parts, tmp_path / "sliced.parquet")) == 2 * rows
    assert_frame_equal(pl.read_parquet(tmp_path / "sliced.parquet").sort(KEYS), both, check_exact=True)


def test_a_small_table_is_one_slice_without_edges():
    (only,) = slices.plan(RECIPE, datasets.load("flights"))
    assert (only.start, only.end, only.rows) == (None, None, 336_776)
    assert str(only) == "all (336,776 flights)"


def test_a_recipe_is_read_step_by_step():
    text = str(RECIPE)
    assert RECIPE.steps[0].name in text
    assert text.count("\n") == len(RECIPE.steps)
    assert RECIPE._repr_html_().count("<li>") == len(RECIPE.steps)
    names = {step.name: set(RECIPE.until(step.name).query(tables()).collect_schema()) for step in RECIPE.steps}
    assert "great_circle_miles" in names["routes"]
    assert {"scheduled", "left", "landed", "cancelled", "diverted"} <= names["times"]
    assert {"origin_overdue", "temperature"} <= names["departures"]


def test_an_unknown_step_and_a_missing_table_are_named():
    with pytest.raises(DataError, match="no step 'wether'; its steps are: routes, times"):
        RECIPE.until("wether")
    with pytest.raises(DataError, match="starts from the table 'flights'; there are: planes"):
        RECIPE.query({"planes": tables()["planes"]})


def test_the_package_says_what_it_offers():
    assert {"FeatureSpec", "Recipe", "contracts", "recipes", "run"} <= set(etl.__all__)
    assert etl.__all__ == sorted(etl.__all__, key=str)
