"""The flights recipe in pandas, written as one would there: merge, groupby, shift, cumsum."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aifactory_lab import datasets
from aifactory_lab.etl import geography
from aifactory_lab.etl.encoding import ENCODINGS, TIMETABLE
from aifactory_lab.etl.steps import WEATHER
from tests.benchmarks.etl_peers.checked import FEATURES, checked

MONTH = 28 * 1440
AIRLINE = ["origin", "carrier"]
STATE = ["n", "delay", "overdue", "since"]


def run(copies: int, folder: str) -> dict[str, Any]:
    path = Path(folder) / "pandas.parquet"
    paths = datasets.load("flights", copies=copies).paths
    raw = {name: pd.concat([pd.read_parquet(file) for file in files]) for name, files in paths.items()}
    log = times(raw["flights"], raw["airports"])
    scheduled = log.groupby(["origin", "hour_utc"], as_index=False).size()
    now = board(departures(log), hours(scheduled, raw["weather"]))
    joined(legs(log), raw["planes"], now, landings(arrivals(log)), timetable(monthly(log))).to_parquet(
        path, compression="zstd", index=False
    )
    return checked(path)


def joined(
    frame: pd.DataFrame, planes: pd.DataFrame, board: pd.DataFrame, landings: pd.DataFrame, timetable: pd.DataFrame
) -> pd.DataFrame:
    frame = frame[frame["arr_delay"].notna()]
    planes = planes[["tailnum", "year", "seats", "engines"]].rename(columns={"year": "built"})
    frame = frame.merge(planes, on="tailnum", how="left")
    frame["plane_age"] = frame["year"] - frame["built"]
    for size, name, table, keys in (
        (30, "cell", board, AIRLINE),
        (180, "cell", landings, ["dest"]),
        (MONTH, "period", timetable, list(TIMETABLE)),
    ):
        frame[name] = frame["scheduled"] // size * size
        frame = frame.merge(table, on=[*keys, name], how="left")
    out = frame[["carrier", "flight", "tailnum", "origin", "dest"]].copy()
    out.insert(0, "sched_dep", pd.to_datetime(frame["scheduled"] * 60, unit="s", utc=True))
    out["late"] = (frame["arr_delay"] > 15).astype("int8")
    out["split"] = np.where(frame["month"] <= 9, "train", "test")
    return pd.concat([out, frame[FEATURES].astype("float32")], axis=1)


def hour_number(text: pd.Series) -> pd.Series:
    return pd.to_datetime(text, format="%Y-%m-%dT%H:%M:%SZ").astype("datetime64[s]").astype("int64") // 3600


def times(flights: pd.DataFrame, airports: pd.DataFrame) -> pd.DataFrame:
    islands = pd.DataFrame(geography.ISLANDS)
    places = pd.concat([airports[["faa", "lat", "lon", "tz", "dst"]], islands]).drop_duplicates("faa").set_index("faa")
    pairs = flights[["origin", "dest"]].drop_duplicates()
    a, b = places.loc[pairs["origin"]].reset_index(), places.loc[pairs["dest"]].reset_index()
    half = [np.radians(b[c] - a[c]) / 2 for c in ("lat", "lon")]
    chord = np.sin(half[0]) ** 2 + np.cos(np.radians(a["lat"])) * np.cos(np.radians(b["lat"])) * np.sin(half[1]) ** 2
    circle = np.arcsin(np.sqrt(chord)) * 2 * geography.EARTH_RADIUS_MILES
    ends = {"circle": circle, "otz": a["tz"], "dtz": b["tz"], "ddst": b["dst"]}
    f = flights.merge(pairs.assign(**{name: column.to_numpy() for name, column in ends.items()}), on=["origin", "dest"])
    f["hour_utc"] = hour_number(f["time_hour"])
    f["scheduled"] = f["hour_utc"] * 60 + f["minute"]
    offset = (f["hour"] - f["hour_utc"] % 24 + 36) % 24 - 12
    dest_offset = f["dtz"] + np.where(f["ddst"] == "A", (offset - f["otz"]).clip(0, 1), 0)
    local, arrival = ((f[c] // 100 * 60 + f[c] % 100) % 1440 for c in ("sched_dep_time", "sched_arr_time"))
    f["block"] = (arrival - local - (dest_offset - offset) * 60 + 1440) % 1440
    f["left"], f["landed"] = f["scheduled"] + f["dep_delay"], f["scheduled"] + f["block"] + f["arr_delay"]
    f["local_hour"] = local / 60
    f["weekday"] = ((f["scheduled"] - local + 720) // 1440 + 3) % 7 + 1
    wrong = (f["distance"] - f["circle"]).abs() > geography.TOLERANCE * f["circle"] + 1
    f["distance_miles"] = f["distance"].where(~wrong & f["distance"].notna(), f["circle"])
    f["schedule_speed"] = f["distance_miles"] / f["block"] * 60
    return f


def hours(scheduled: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    counts = scheduled.rename(columns={"size": "departures_hour"})
    out = counts
    for name, step in (("departures_before", 1), ("departures_after", -1)):
        other = counts.assign(hour_utc=counts["hour_utc"] + step).rename(columns={"departures_hour": name})
        out = out.merge(other, on=["origin", "hour_utc"], how="left").fillna({name: 0})
    seen = weather.rename(columns={raw: name for name, raw in WEATHER.items()})
    seen = seen.assign(hour_utc=hour_number(seen["time_hour"]) + 1)[["origin", "hour_utc", *WEATHER]]
    return out.merge(seen, on=["origin", "hour_utc"], how="left")


def before(cells: pd.DataFrame, keys: list[str], values: list[str]) -> pd.DataFrame:
    cells = cells.groupby([*keys, "cell"], as_index=False)[values].sum().sort_values([*keys, "cell"])
    cells[values] = cells.groupby(keys)[values].cumsum() - cells[values]
    return cells


def departures(log: pd.DataFrame) -> pd.DataFrame:
    gone, delay = log["dep_delay"].notna(), log["dep_delay"]
    due = log[[*AIRLINE]].assign(cell=log["scheduled"] // 30 * 30, n=0, delay=0, overdue=1, since=log["scheduled"])
    left = log.loc[gone, AIRLINE].assign(
        cell=((log["scheduled"] + delay.clip(lower=0)) // 30 * 30)[gone].astype("int64"),
        n=1,
        delay=delay[gone].clip(-300, 300).astype("int64"),
        overdue=np.where(delay[gone] <= 240, -1, 0),
        since=np.where(delay[gone] <= 240, -log.loc[gone, "scheduled"], 0),
    )
    expired = left.assign(cell=left["cell"] + 120, n=-1, delay=-left["delay"], overdue=0, since=0)
    stuck = log[~gone | (delay > 240)]
    given_up = stuck[[*AIRLINE]].assign(
        cell=(stuck["scheduled"] + 240) // 30 * 30, n=0, delay=0, overdue=-1, since=-stuck["scheduled"]
    )
    return pd.concat([due, left, expired, given_up]).groupby([*AIRLINE, "cell"], as_index=False)[STATE].sum()


def board(cells: pd.DataFrame, hours: pd.DataFrame) -> pd.DataFrame:
    airline = columns(before(cells, AIRLINE, STATE), AIRLINE, "carrier")
    airport = columns(before(cells, ["origin"], STATE), ["origin"], "origin")
    airport["hour_utc"] = airport["cell"] // 60
    airport = airport.merge(hours, on=["origin", "hour_utc"], how="left").drop(columns="hour_utc")
    return airline.merge(airport, on=["origin", "cell"], how="left")


def columns(now: pd.DataFrame, keys: list[str], name: str) -> pd.DataFrame:
    out = now[[*keys, "cell"]].copy()
    out[f"{name}_left_delay"] = (now["delay"] / now["n"]).where(now["n"] > 0)
    out[f"{name}_overdue"] = now["overdue"]
    out[f"{name}_overdue_minutes"] = (now["cell"] - now["since"] / now["overdue"]).where(now["overdue"] > 0)
    return out


def arrivals(log: pd.DataFrame) -> pd.DataFrame:
    landed = log[log["landed"].notna()]
    events = landed[["dest"]].assign(
        cell=(landed["landed"] // 180 * 180).astype("int64"), n=1, delay=landed["arr_delay"].clip(-300, 300)
    )
    leave = events.assign(cell=events["cell"] + 360, n=-1, delay=-events["delay"])
    asked = log[["dest"]].assign(cell=log["scheduled"] // 180 * 180, n=0, delay=0)
    return pd.concat([events, leave, asked]).groupby(["dest", "cell"], as_index=False)[["n", "delay"]].sum()


def landings(cells: pd.DataFrame) -> pd.DataFrame:
    now = before(cells, ["dest"], ["n", "delay"])
    now["dest_landed_delay"] = (now["delay"] / now["n"]).where(now["n"] > 0)
    return now[["dest", "cell", "dest_landed_delay"]]


def monthly(log: pd.DataFrame) -> pd.DataFrame:
    at = log[list(TIMETABLE)].assign(
        period=log["scheduled"] // MONTH * MONTH,
        cell=(log["landed"] // MONTH * MONTH).where(log["arr_delay"] <= MONTH).fillna(-1).astype("int64"),
        n=1,
        late=(log["arr_delay"] > 15).astype("int64"),
    )
    return at.groupby([*TIMETABLE, "period", "cell"], as_index=False)[["n", "late"]].sum()


def timetable(counts: pd.DataFrame) -> pd.DataFrame:
    at = counts.assign(everything=0)
    codes = at[["everything", *TIMETABLE, "period"]].drop_duplicates()
    prior = recent(at, ["everything"])
    prior["prior"] = (prior["late"] / prior["n"]).where(prior["n"] > 0)
    codes = codes.merge(prior[["period", "prior"]], on="period", how="left")
    for name, keys in ENCODINGS.items():
        codes = codes.merge(recent(at, list(keys)), on=[*keys, "period"], how="left")
        codes[name] = (codes["late"] + 20 * codes["prior"]) / (codes["n"] + 20)
        codes = codes.drop(columns=["late", "n"])
    return codes.drop(columns=["everything", "prior"])


def recent(at: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    events = at[at["cell"] >= 0].groupby([*keys, "cell"], as_index=False)[["n", "late"]].sum()
    leave = events.assign(cell=events["cell"] + 3 * MONTH, n=-events["n"], late=-events["late"])
    asked = at[[*keys, "period"]].drop_duplicates()
    asked = asked.rename(columns={"period": "cell"}).assign(n=0, late=0)
    return before(pd.concat([events, leave, asked]), keys, ["n", "late"]).rename(columns={"cell": "period"})


def legs(log: pd.DataFrame) -> pd.DataFrame:
    f = log.sort_values(["tailnum", "scheduled", "flight"])
    s, left, landed, block = (f.groupby("tailnum")[c].shift() for c in ("scheduled", "left", "landed", "block"))
    gap = f["scheduled"] - s
    near = f["tailnum"].notna() & (gap <= 1440) & (gap > 2 * block)
    known = np.where(landed < f["scheduled"], landed - s - block, np.where(left < f["scheduled"], left - s, gap))
    f["leg_delay"] = pd.Series(known, index=f.index).where(near)
    f["leg_slack"] = (gap - 2 * block - known).where(near)
    f["leg_gap"] = gap.where(near)
    return f
