"""The plain steps against the published clocks, distances and tables."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab import datasets
from aifactory_lab.etl import geography, recipes, steps
from tests.etl.sample import tables


def made(step: str, raw=None) -> pl.DataFrame:
    return recipes.flights().until(step).query(raw or tables()).collect()


@pytest.fixture(scope="module")
def year() -> pl.DataFrame:
    return made("calendar", datasets.load("flights").tables)


@given(st.integers(0, 23), st.integers(0, 59))
def test_clock_readings_become_minutes(hour, minute):
    clock = pl.select(steps.minute_of_day(pl.lit(hour * 100 + minute))).item()
    assert clock == hour * 60 + minute


def test_no_row_is_lost_or_doubled_and_times_are_known_for_all(year):
    assert year.height == 336_776
    assert year.select("scheduled", "block", "distance_miles", "hour_utc").null_count().sum_horizontal().item() == 0


def test_published_local_departure_times_come_back_from_the_instants(year):
    local = steps.instant(pl.col("left")).dt.convert_time_zone("America/New_York")
    clock = local.dt.hour().cast(pl.Int64) * 100 + local.dt.minute()
    flown = year.filter(~pl.col("cancelled"))
    agree = flown.select((clock == pl.col("dep_time") % 2400).mean()).item()
    assert agree == 1.0


def test_arrivals_computed_from_delays_agree_with_the_published_clock_at_the_destination(year):
    arrived = year.filter(pl.col("arr_delay").is_not_null())
    scheduled = steps.minute_of_day(pl.col("sched_arr_time"))
    off = (scheduled + pl.col("arr_delay") - steps.minute_of_day(pl.col("arr_time"))) % steps.DAY
    assert arrived.select((off == 0).mean()).item() == 1.0
    # A flight is in the air for less time than between its gates.
    air = arrived.select((pl.col("landed") - pl.col("left") >= pl.col("air_time")).mean()).item()
    assert air > 0.999


def test_blocks_are_plausible_on_both_sides_of_daylight_saving(year):
    for dest, low, high in (
        ("PHX", 280, 370),
        ("HNL", 600, 710),
        ("SJU", 200, 260),
        ("LAX", 330, 410),
        ("BOS", 50, 110),
    ):
        block = year.filter(pl.col("dest") == dest)["block"]
        assert low <= block.quantile(0.01) <= block.quantile(0.99) <= high, dest


def test_cancelled_and_diverted_are_told_apart(year):
    assert year["cancelled"].sum() == 8_255
    assert year["diverted"].sum() == 9_430 - 8_255


def test_weekday_is_the_local_one(year):
    local = pl.concat_str("year", pl.col("month").cast(str).str.zfill(2), pl.col("day").cast(str).str.zfill(2))
    weekday = local.str.to_date("%Y%m%d").dt.weekday().cast(pl.Int64)
    assert year.select((weekday == pl.col("weekday")).all()).item()


def test_every_published_distance_is_near_the_great_circle(year):
    assert year["distance_wrong"].sum() == 0
    gap = (year["distance"] - year["great_circle_miles"]).abs() / year["great_circle_miles"]
    assert gap.max() < 0.03, "17 whole miles from Newark to La Guardia are 16.6"
    assert gap.quantile(0.999) < geography.TOLERANCE


def test_a_wrong_or_missing_distance_is_mended():
    frame = pl.DataFrame({"given": [2475, 999, None, 500], "circle": [2470.0, 2470.0, 2470.0, None]})
    found = frame.select(geography.distance("given", "circle"))
    assert found["distance_wrong"].to_list() == [False, True, False, False]
    assert found["distance_miles"].to_list() == [2475.0, 2470.0, 2470.0, 500.0]


def test_an_airport_that_the_table_has_is_not_overwritten():
    airports = pl.LazyFrame({"faa": ["SJU"], "lat": [1.0], "lon": [2.0], "tz": [3], "dst": ["A"]})
    found = geography.places(airports).collect()
    assert found.sort("faa")["faa"].to_list() == ["BQN", "PSE", "SJU", "STT"]
    assert found.filter(pl.col("faa") == "SJU").row(0) == ("SJU", 1.0, 2.0, 3, "A")


def test_congestion_counts_the_timetable_of_all_flights_cancelled_ones_too():
    hours = made("congestion")
    raw = tables()["flights"].collect()
    assert hours["departures_hour"].sum() == raw.height
    assert hours.select("origin", "hour_utc").is_duplicated().sum() == 0
    neighbour = hours.filter(pl.col("departures_after") > 0).row(0, named=True)
    after = hours.filter(pl.col("origin") == neighbour["origin"], pl.col("hour_utc") == neighbour["hour_utc"] + 1)
    assert after["departures_hour"].item() == neighbour["departures_after"]
    assert after["departures_before"].item() == neighbour["departures_hour"]


def test_weather_is_that_of_the_hour_before():
    hours = made("congestion")
    row = hours.filter(pl.col("temperature").is_not_null()).row(0, named=True)
    text = steps.instant(pl.lit((row["hour_utc"] - 1) * 60)).dt.strftime(steps.TIME_FORMAT)
    same = tables()["weather"].filter(pl.col("origin") == row["origin"], pl.col("time_hour") == text).collect()
    assert same["temp"].item() == row["temperature"]


def test_the_year_of_the_plane_is_not_the_year_of_the_flight():
    planes = made("planes")
    assert planes.height == tables()["flights"].collect().height
    assert planes["year"].unique().to_list() == [2013]
    assert planes["plane_age"].drop_nulls().is_between(0, 60).all()


def test_label_keeps_known_arrivals_and_splits_by_month():
    raw = datasets.load("flights").tables
    frame = made("calendar", raw).lazy()
    found = steps.label({"flights": frame}).collect()
    assert found.height == 327_346
    assert found["late"].mean() == pytest.approx(0.2371, abs=5e-5)
    assert found.filter(pl.col("split") == "train")["month"].max() == 9
    assert found.filter(pl.col("split") == "test")["month"].min() == 10
