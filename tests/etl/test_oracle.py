"""The recipe, recomputed by hand for a few hundred flights.

An oracle that shares no code with the recipe: clocks by the time-zone database, and each feature as a plain
selection of log rows (pandas), from what the recipe's descriptions and docstrings say. Instants are minutes
since 1970; a comparison with NaN, with what never happened, is false.
"""

import numpy as np
import pandas as pd
import pytest

from aifactory_lab import datasets, etl

RECIPE = etl.recipes.flights()
HALF_HOUR, THREE_HOURS, DAY, FOUR_WEEKS = 30, 180, 1_440, 28 * 1_440
PUERTO_RICO = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")  # not in the table of airports
KEYS = ["instant", "carrier", "flight", "origin"]


def minutes(times: pd.Series) -> pd.Series:
    return (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(minutes=1)


def clock(hhmm: pd.Series) -> pd.Series:
    return pd.to_timedelta(hhmm // 100 % 24 * 60 + hhmm % 100, unit="min")


def arrivals(flights: pd.DataFrame, zone: str) -> pd.Series:
    """Scheduled arrivals at places of one zone: the first time after departure that the clock there says so."""
    leaving = flights["departure"].dt.tz_convert(zone).dt.tz_localize(None)
    landing = leaving.dt.normalize() + clock(flights["sched_arr_time"])
    landing += pd.to_timedelta((landing <= leaving).astype(int), unit="D")
    return landing.dt.tz_localize(zone).dt.tz_convert("UTC")


@pytest.fixture(scope="module")
def raw() -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(paths[0]) for name, paths in datasets.load("flights").paths.items()}


@pytest.fixture(scope="module")
def log(raw) -> pd.DataFrame:
    """Every flight, with what happened when; departures from the local date and clock, not from `time_hour`."""
    log = raw["flights"].copy()
    local = pd.to_datetime(log[["year", "month", "day"]]) + clock(log["sched_dep_time"])
    log["departure"] = local.dt.tz_localize("America/New_York").dt.tz_convert("UTC")
    zones = log["dest"].map(raw["airports"].set_index("faa")["tzone"].to_dict() | PUERTO_RICO)
    arrival = minutes(pd.concat(arrivals(part, zone) for zone, part in log.groupby(zones)))
    log["instant"] = minutes(log["departure"])
    log["block"] = arrival - log["instant"]
    log["left"], log["landed"] = log["instant"] + log["dep_delay"], arrival + log["arr_delay"]
    # Early leavers count from their scheduled time.
    log["gone"] = log[["instant", "left"]].max(axis=1).where(log["left"].notna())
    texts = dict.fromkeys(("carrier", "origin", "dest", "tailnum"), "category")  # quick to compare
    return log.astype(texts).sort_values(["instant", "flight"], ignore_index=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("features")
    etl.run(RECIPE, datasets.load("flights"), engine="cpu", out=folder, progress=False)
    features = pd.read_parquet(folder / "features.parquet")
    return features.assign(instant=minutes(features["sched_dep"])).set_index(KEYS)


def edges(log: pd.DataFrame) -> dict[str, pd.Series]:
    """Flights on which a recipe could stumble: a mask over the log for each kind."""
    legs = log.groupby("tailnum")
    before = {name: legs[name].shift(1) for name in ("instant", "left", "gone", "landed")}
    date, local, at = log["month"] * 100 + log["day"], log["hour"], log["instant"]
    gap, known = at - before["instant"], before["instant"].notna()
    return {
        "first flight of its aircraft": ~known & log["tailnum"].notna(),
        "previous leg exactly a day before": gap == DAY,
        "previous leg more than a day before": gap > DAY,
        "previous leg cancelled": known & before["left"].isna() & (gap < DAY),
        "previous leg diverted": before["left"].notna() & before["landed"].isna() & (gap < DAY),
        "previous leg not yet gone": before["gone"] > at,
        "previous leg in the air": (before["left"] < at) & (before["landed"] > at),
        "previous leg lands this very minute": before["landed"] == at,
        "previous leg in the evening before": (gap < DAY) & (local < 9) & (gap > local * 60),
        "no time to fly there and back": gap <= 2 * legs["block"].shift(1),
        "same aircraft, same minute": log.duplicated(["tailnum", "instant"], keep=False) & log["tailnum"].notna(),
        "islands": log["dest"].isin(PUERTO_RICO),
        "night of the time change": date.isin([309, 1102]) & (local >= 21) | date.isin([310, 1103]) & (local <= 6),
        "New Year's Day": date == 101,
        "New Year's Eve": date == 1231,
        "on the border of three hours": at % THREE_HOURS == 0,
        "a minute before the border": at % THREE_HOURS == THREE_HOURS - 1,
        "first day of a period": (at % FOUR_WEEKS < DAY) & (log["month"] > 1),
        "delayed by hours": log["dep_delay"] > 300,
        "any": at > 0,
    }


@pytest.fixture(scope="module")
def sample(log) -> pd.DataFrame:
    arrived = log["arr_delay"].notna()
    found = {kind: log[mask & arrived] for kind, mask in edges(log).items()}
    assert all(map(len, found.values())), "there is a flight of every kind"
    wanted = {kind: min(len(some), 60 if kind == "any" else 8) for kind, some in found.items()}
    return pd.concat(some.sample(wanted[kind], random_state=13) for kind, some in found.items()).drop_duplicates(KEYS)


def schedule(flight, counts) -> dict[str, float]:
    hours = {name: flight.instant // 60 + more for name, more in (("before", -1), ("hour", 0), ("after", 1))}
    return {
        "local_hour": flight.hour + flight.minute / 60,
        "weekday": pd.Timestamp(flight.year, flight.month, flight.day).isoweekday(),
        "distance_miles": flight.distance,
        "block": flight.block,
        "schedule_speed": flight.distance / flight.block * 60,
        **{f"departures_{name}": counts.get((flight.origin, hour), 0) for name, hour in hours.items()},
    }


def encodings(flight, log: pd.DataFrame) -> dict[str, float]:
    """Shares of late flights among those that landed in the 84 days before this period of four weeks."""
    period = flight.instant // FOUR_WEEKS * FOUR_WEEKS
    seen = log[(log["landed"] >= period - 3 * FOUR_WEEKS) & (log["landed"] < period)]
    late = seen["arr_delay"] > 15
    alike = {
        "carrier_late": seen["carrier"] == flight.carrier,
        "dest_late": seen["dest"] == flight.dest,
        "hour_late": (seen["origin"] == flight.origin) & (seen["hour"] == flight.hour),
        "flight_late": (seen["carrier"] == flight.carrier) & (seen["flight"] == flight.flight),
    }
    return {name: (late[same].sum() + 20 * late.mean()) / (same.sum() + 20) for name, same in alike.items()}


def weather(flight, recorded: pd.DataFrame) -> dict[str, float]:
    key = (flight.origin, flight.instant // 60 - 1)
    names = {"temperature": "temp", "humidity": "humid", "precipitation": "precip", "visibility": "visib"}
    names |= {name: name for name in ("wind_speed", "wind_gust", "pressure")}
    return {ours: recorded[theirs].get(key, np.nan) for ours, theirs in names.items()}


def plane(flight, planes: pd.DataFrame) -> dict[str, float]:
    seats, engines, built = (planes[name].get(flight.tailnum, np.nan) for name in ("seats", "engines", "year"))
    return {"seats": seats, "engines": engines, "plane_age": flight.year - built}


def leg(flight, log: pd.DataFrame) -> dict[str, float]:
    now = flight.instant
    same = log[log["tailnum"] == flight.tailnum]
    before = same[(same["instant"] < now) | (same["instant"] == now) & (same["flight"] < flight.flight)]
    last = None if before.empty else before.iloc[-1]
    if last is None or not 2 * last.block < now - last.instant <= DAY:
        return dict.fromkeys(("leg_delay", "leg_slack", "leg_gap"), np.nan)
    delay = now - last.instant  # overdue, or cancelled without our knowing
    if last.landed < now:
        delay = last.arr_delay
    elif last.left < now:
        delay = last.dep_delay
    gap = now - last.instant
    return {"leg_delay": delay, "leg_slack": gap - 2 * last.block - delay, "leg_gap": gap}


def board(flight, log: pd.DataFrame) -> dict[str, float]:
    """The departures board when the flight's half hour began."""
    now = flight.instant // HALF_HOUR * HALF_HOUR
    found = {}
    here = log[(log["origin"] == flight.origin) & (log["instant"].between(now - 2 * DAY, now))]
    for name, flights in (("origin", here), ("carrier", here[here["carrier"] == flight.carrier])):
        left = flights[(flights["gone"] < now) & (flights["gone"] >= now - 120)]
        waiting = ~(flights["gone"] < now) & (flights["instant"] < now) & (flights["instant"] + 240 >= now)
        found[f"{name}_left_delay"] = left["dep_delay"].clip(-300, 300).mean()
        found[f"{name}_overdue"] = waiting.sum()
        found[f"{name}_overdue_minutes"] = (now - flights["instant"][waiting]).mean()
    return found


def landings(flight, log: pd.DataFrame) -> dict[str, float]:
    now = flight.instant // THREE_HOURS * THREE_HOURS
    there = log[(log["landed"] < now) & (log["landed"] >= now - 360) & (log["dest"] == flight.dest)]
    return {"dest_landed_delay": there["arr_delay"].clip(-300, 300).mean()}


def test_every_feature_of_the_sample_equals_the_one_made_by_hand(raw, log, made, sample):
    hour = minutes(pd.to_datetime(raw["weather"]["time_hour"], utc=True)) // 60
    recorded, planes = raw["weather"].set_index(["origin", hour]), raw["planes"].set_index("tailnum")
    counts = log.groupby(["origin", log["instant"] // 60]).size().to_dict()
    rows = []
    for flight in sample.itertuples():
        past = leg(flight, log) | board(flight, log) | landings(flight, log)
        seen = weather(flight, recorded) | plane(flight, planes)
        rows.append(schedule(flight, counts) | encodings(flight, log) | seen | past)
    expected = pd.DataFrame(rows, index=pd.MultiIndex.from_frame(sample[KEYS]), dtype=float)
    assert set(expected) == set(RECIPE.spec.columns())
    found = made.loc[expected.index, list(expected)].astype(float)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-6, err_msg=name)
    assert (made.loc[expected.index, "late"].to_numpy() == (sample["arr_delay"] > 15)).all()


def test_the_split_follows_the_local_month_and_unknown_arrivals_have_no_row(log, made):
    arrived = log[log["arr_delay"].notna()].astype({"carrier": str, "origin": str}).set_index(KEYS)
    assert made.index.sort_values().equals(arrived.index.sort_values())
    month = arrived["month"].loc[made.index]
    assert ((month <= 9).to_numpy() == (made["split"] == "train").to_numpy()).all()
    assert log.loc[log["tailnum"].isna(), "arr_delay"].isna().all(), "flights without a tail number never arrived"
