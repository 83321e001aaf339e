"""What is known before push-back: against a plain count over the log, and against a changed future."""

import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from aifactory_lab.etl import encoding, history, recipes
from tests.etl.sample import moment, tables

RECIPE = recipes.flights()
HONEST = RECIPE.spec.columns()
KEYS = list(RECIPE.keys)


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return RECIPE.until("calendar").query(tables()).collect()


def features(raw) -> pl.DataFrame:
    return RECIPE.query(raw).collect().sort(KEYS)


def test_window_and_running_sum_equal_a_plain_count():
    rng = random.Random(7)
    events = [(rng.choice("AB"), 10 * rng.randrange(50), rng.randrange(-9, 9)) for _ in range(200)]
    frame = pl.LazyFrame(events, schema={"place": pl.String, "cell": pl.Int64, "n": pl.Int64}, orient="row")
    asked = pl.LazyFrame({"place": ["A", "B"] * 60, "cell": [10 * i for i in range(60) for _ in "AB"]})
    found = history.earlier(history.window(frame, 100, ["n"]), asked, ["place"], ["n"]).collect()
    for place, cell, total in found.select("place", "cell", "n").iter_rows():
        assert total == sum(n for where, at, n in events if where == place and cell - 100 <= at < cell)


def test_the_board_equals_a_plain_count_over_the_log(log):
    board = RECIPE.until("departures").query(tables()).collect()
    for row in board.sample(40, seed=1).iter_rows(named=True):
        here = log.filter(pl.col("origin") == row["origin"])
        for name, flights in (("origin", here), ("carrier", here.filter(pl.col("carrier") == row["carrier"]))):
            overdue, delay = plain_board(flights, row["cell"])
            assert row[f"{name}_overdue"] == overdue
            assert row[f"{name}_left_delay"] == (None if delay is None else pytest.approx(delay))


def plain_board(flights: pl.DataFrame, now: int) -> tuple[int, float | None]:
    seen = pl.col("scheduled") + pl.col("dep_delay").clip(0, None)
    left = flights.filter(seen < now, seen // 30 * 30 >= now - history.LEFT_BACK)
    due = flights.filter(pl.col("scheduled") < now, pl.col("scheduled") // 30 * 30 + history.GIVE_UP >= now)
    waiting = due.filter(seen.is_null() | (seen >= now))
    cell = (pl.col("scheduled") + history.GIVE_UP) // 30 * 30
    waiting = waiting.filter(cell >= now)
    return waiting.height, left["dep_delay"].clip(-history.CAP, history.CAP).mean()


def test_landings_equal_a_plain_count_over_the_log(log):
    landings = RECIPE.until("landings").query(tables()).collect()
    for dest, cell, delay in landings.sample(40, seed=2).iter_rows():
        at = pl.col("landed") // history.LANDINGS * history.LANDINGS
        seen = log.filter(pl.col("dest") == dest, at < cell, at >= cell - history.LANDED_BACK)
        assert delay == pytest.approx(seen["arr_delay"].clip(-history.CAP, history.CAP).mean())


@pytest.mark.parametrize(
    ("left", "landed", "known", "why"),
    [
        (110, 190, 10, "it has landed: its arrival delay"),
        (150, 290, 50, "it has left but not landed: its departure delay"),
        (300, 400, 180, "it has not left: overdue since its time"),
        (None, None, 180, "cancelled looks like overdue"),
        (110, None, 10, "diverted: its departure delay"),
    ],
)
def test_a_previous_leg_counts_as_far_as_it_has_happened(left, landed, known, why):
    legs = {"tailnum": ["N1", "N1"], "flight": [1, 2], "scheduled": [100, 280], "block": [80, 90]}
    frame = pl.LazyFrame({**legs, "left": [left, 280], "landed": [landed, 370]})
    found = history.previous_leg({"flights": frame}).sort("scheduled").collect()
    assert found["leg_delay"].to_list() == [None, known], why
    assert found["leg_gap"].to_list() == [None, 180]
    assert found["leg_slack"].to_list() == [None, 180 - 160 - known]


def test_a_leg_that_could_not_be_back_in_time_betrays_a_changed_aircraft_and_is_left_out():
    legs = {"tailnum": ["N1", "N1"], "flight": [1, 2], "scheduled": [100, 280], "block": [90, 90]}
    frame = pl.LazyFrame({**legs, "left": [110, 280], "landed": [190, 370]})
    found = history.previous_leg({"flights": frame}).sort("scheduled").collect()
    assert found.select("leg_delay", "leg_gap", "leg_slack").rows() == [(None, None, None)] * 2


def test_flights_without_a_tail_number_have_no_previous_leg():
    legs = {"tailnum": [None, None], "flight": [1, 2], "scheduled": [100, 280], "block": [100, 90]}
    frame = pl.LazyFrame({**legs, "left": [100, 280], "landed": [200, 370]}, schema_overrides={"tailnum": pl.String})
    assert history.previous_leg({"flights": frame}).collect()["leg_delay"].to_list() == [None, None]


def test_a_code_is_the_smoothed_share_of_flights_landed_in_earlier_periods(log):
    codes = RECIPE.until("encodings").query(tables()).collect()
    period = max(codes["period"])
    seen = log.filter(pl.col("landed") // encoding.MONTH * encoding.MONTH < period)
    late, n = (seen["arr_delay"] > 15).sum(), seen.height
    prior = late / n
    b6 = seen.filter(pl.col("carrier") == "B6")
    expected = ((b6["arr_delay"] > 15).sum() + 20 * prior) / (b6.height + 20)
    found = codes.filter(pl.col("period") == period, pl.col("carrier") == "B6")["carrier_late"].unique()
    assert found.to_list() == [pytest.approx(expected)]
    first = codes.filter(pl.col("period") == min(codes["period"]))
    assert first["flight_late"].null_count() == first.height, "nothing had landed before the first period"


def test_no_timetable_entry_is_doubled():
    codes = RECIPE.until("encodings").query(tables()).collect()
    assert codes.select(*encoding.TIMETABLE, "period").is_duplicated().sum() == 0


def change_future(log: pl.DataFrame, cut: int, seed: int) -> dict[str, pl.LazyFrame]:
    """Replace everything that had not happened by a minute: departures, landings, weather."""
    rng = random.Random(seed)
    rows = log.select("scheduled", "left", "landed", "block", "dep_delay", "arr_delay", "dep_time").to_dicts()
    for row in rows:
        if row["left"] is None or row["left"] >= cut:
            delay = max(cut - row["scheduled"], -15) + rng.randrange(400)
            row["dep_delay"] = None if rng.random() < 0.2 else delay
            row["dep_time"] = None if row["dep_delay"] is None else 1200
            row["landed"] = None
        if row["landed"] is None or row["landed"] >= cut:
            delay = max(cut - row["scheduled"] - row["block"], -60) + rng.randrange(400)
            row["arr_delay"] = None if row["dep_delay"] is None or rng.random() < 0.1 else delay
    changed = pl.DataFrame(rows, schema=log.select(list(rows[0])).schema).select("dep_delay", "arr_delay", "dep_time")
    flights = tables()["flights"].collect().with_columns(changed)
    hour = moment(cut // 60 * 60 - 60).strftime("%Y-%m-%dT%H:%M:%SZ")
    weather = tables()["weather"].with_columns(
        pl.when(pl.col("time_hour") > hour).then(-99.0).otherwise(pl.col(name)).alias(name)
        for name in ("temp", "precip")
    )
    return {**tables(), "flights": flights.lazy(), "weather": weather}


def past(frame: pl.DataFrame, cut: int, keys: pl.DataFrame) -> pl.DataFrame:
    frame = frame.filter(pl.col("sched_dep") <= moment(cut))
    return frame.join(keys, on=KEYS, how="semi", nulls_equal=True).sort(KEYS)


@settings(max_examples=12, deadline=None)
@given(share=st.floats(0.05, 1.0), seed=st.integers(0, 1_000))
def test_changing_the_future_never_changes_the_features_of_the_past(share, seed):
    log = RECIPE.until("calendar").query(tables()).collect()
    order = tables()["flights"].collect()
    assert log["flight"].to_list() == order["flight"].to_list()
    cut = int(log["scheduled"].min() + share * (log["scheduled"].max() - log["scheduled"].min()))
    before, after = features(tables()), features(change_future(log, cut, seed))
    both = before.join(after, on=KEYS, how="semi", nulls_equal=True).select(KEYS)
    old, new = past(before, cut, both), past(after, cut, both)
    assert old.height > 0
    assert_frame_equal(old.select(*KEYS, *HONEST), new.select(*KEYS, *HONEST), check_exact=True)
    assert share > 0.99 or not features_equal(before, after, "origin_left_delay"), "the future did change"


def features_equal(a: pl.DataFrame, b: pl.DataFrame, column: str) -> bool:
    return a.height == b.height and a[column].equals(b[column])


def test_the_leak_does_change_with_the_future():
    log = RECIPE.until("calendar").query(tables()).collect()
    cut = int(log["scheduled"].median())
    before, after = features(tables()), features(change_future(log, cut, 0))
    both = before.join(after, on=KEYS, how="semi", nulls_equal=True).select(KEYS)
    assert not past(before, cut, both)["dep_delay"].equals(past(after, cut, both)["dep_delay"])
