"""The flights recipe in DuckDB's SQL, written as one would there: common tables, windows, hash joins."""
# ruff: noqa: E501  # SQL is read by its clauses

from pathlib import Path
from typing import Any

from aifactory_lab import datasets
from aifactory_lab.etl.encoding import ENCODINGS
from tests.benchmarks.etl_peers.checked import FEATURES, checked

MONTH = 28 * 1440

TIMES = """
CREATE TABLE log AS
WITH places AS (
  SELECT faa, lat, lon, tz, dst FROM airports UNION ALL
  SELECT * FROM (VALUES ('BQN', 18.4949, -67.1294, -4, 'N'), ('PSE', 18.0083, -66.5630, -4, 'N'),
                        ('SJU', 18.4394, -66.0018, -4, 'N'), ('STT', 18.3373, -64.9734, -4, 'N')) island(faa, lat, lon, tz, dst)
  WHERE faa NOT IN (SELECT faa FROM airports)),
routes AS (
  SELECT origin, dest, o.tz AS otz, d.tz AS dtz, d.dst AS ddst,
    2 * 6371.0088 / 1.609344 * asin(sqrt(sin(radians(d.lat - o.lat) / 2) ** 2
      + cos(radians(o.lat)) * cos(radians(d.lat)) * sin(radians(d.lon - o.lon) / 2) ** 2)) AS circle
  FROM (SELECT DISTINCT origin, dest FROM flights) p
  LEFT JOIN places o ON o.faa = p.origin LEFT JOIN places d ON d.faa = p.dest),
timed AS (
  SELECT f.*, r.*EXCLUDE (origin, dest), epoch(strptime(time_hour, '%Y-%m-%dT%H:%M:%SZ'))::BIGINT // 3600 AS hour_utc,
    (sched_dep_time // 100 * 60 + sched_dep_time % 100) % 1440 AS local_minute,
    (sched_arr_time // 100 * 60 + sched_arr_time % 100) % 1440 AS local_arrival
  FROM flights f LEFT JOIN routes r USING (origin, dest)),
offsets AS (SELECT *, (hour - hour_utc % 24 + 36) % 24 - 12 AS oo FROM timed),
blocks AS (
  SELECT *, hour_utc * 60 + minute AS scheduled,
    (local_arrival - local_minute - (dtz + CASE WHEN ddst = 'A' THEN greatest(0, least(1, oo - otz)) ELSE 0 END - oo) * 60
      + 1440) % 1440 AS block,
    CASE WHEN distance IS NULL OR abs(distance - circle) > 0.02 * circle + 1 THEN circle ELSE distance::DOUBLE END AS miles
  FROM offsets)
SELECT carrier, flight, tailnum, origin, dest, hour, year, month, hour_utc, scheduled, block, miles AS distance_miles,
  dep_delay, arr_delay, scheduled + dep_delay AS leave, scheduled + block + arr_delay AS land, local_minute / 60 AS local_hour,
  ((scheduled - local_minute + 720) // 1440 + 3) % 7 + 1 AS weekday, miles / block * 60 AS schedule_speed
FROM blocks
"""

HOURS = """
CREATE TABLE hours AS
WITH counts AS (SELECT origin, hour_utc, count(*) AS n FROM log GROUP BY ALL),
observed AS (SELECT *, epoch(strptime(time_hour, '%Y-%m-%dT%H:%M:%SZ'))::BIGINT // 3600 + 1 AS hour_utc FROM weather)
SELECT c.origin, c.hour_utc, c.n AS departures_hour, coalesce(b.n, 0) AS departures_before, coalesce(a.n, 0) AS departures_after,
  temp AS temperature, humid AS humidity, wind_speed, wind_gust, precip AS precipitation, pressure, visib AS visibility
FROM counts c LEFT JOIN counts b ON b.origin = c.origin AND b.hour_utc = c.hour_utc - 1
LEFT JOIN counts a ON a.origin = c.origin AND a.hour_utc = c.hour_utc + 1
LEFT JOIN observed w ON w.origin = c.origin AND w.hour_utc = c.hour_utc
"""

CELLS = """
CREATE TABLE cells AS
WITH gone AS (
  SELECT origin, carrier, (scheduled + greatest(dep_delay, 0)) // 30 * 30 AS cell, count(*) AS n,
    sum(greatest(-300, least(300, dep_delay))) AS delay, -count(*) FILTER (dep_delay <= 240) AS overdue,
    -coalesce(sum(scheduled) FILTER (dep_delay <= 240), 0) AS since
  FROM log WHERE dep_delay IS NOT NULL GROUP BY ALL),
events AS (
  SELECT origin, carrier, scheduled // 30 * 30 AS cell, 0 AS n, 0 AS delay, count(*) AS overdue, sum(scheduled) AS since,
    count(*) AS due FROM log GROUP BY ALL
  UNION ALL SELECT *, 0 FROM gone
  UNION ALL SELECT origin, carrier, cell + 120, -n, -delay, 0, 0, 0 FROM gone
  UNION ALL SELECT origin, carrier, (scheduled + 240) // 30 * 30, 0, 0, -count(*), -sum(scheduled), 0
    FROM log WHERE dep_delay IS NULL OR dep_delay > 240 GROUP BY ALL)
SELECT origin, carrier, cell, sum(n)::BIGINT AS n, sum(delay)::BIGINT AS delay, sum(overdue)::BIGINT AS overdue,
  sum(since)::BIGINT AS since, sum(due)::BIGINT AS due FROM events GROUP BY ALL
"""


def state(name: str, source: str, keys: str, kept: str) -> str:
    frame = f"OVER (PARTITION BY {keys} ORDER BY cell ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    sums = ", ".join(f"coalesce(sum({v}) {frame}, 0)::BIGINT AS {v}_" for v in ("n", "delay", "overdue", "since"))
    return f"""SELECT {keys}, cell, {kept} CASE WHEN n_ > 0 THEN delay_ / n_ END AS {name}_left_delay, overdue_ AS {name}_overdue,
      CASE WHEN overdue_ > 0 THEN cell - since_ / overdue_ END AS {name}_overdue_minutes
    FROM (SELECT *, {sums} FROM {source})"""


AIRPORT = "(SELECT origin, cell, sum(n) AS n, sum(delay) AS delay, sum(overdue) AS overdue, sum(since) AS since FROM cells GROUP BY ALL)"

LANDINGS = """
CREATE TABLE landings AS
WITH events AS (
  SELECT dest, land // 180 * 180 AS cell, count(*) AS n, sum(greatest(-300, least(300, arr_delay))) AS delay
  FROM log WHERE land IS NOT NULL GROUP BY ALL),
points AS (
  SELECT * FROM events UNION ALL SELECT dest, cell + 360, -n, -delay FROM events
  UNION ALL SELECT DISTINCT dest, scheduled // 180 * 180, 0, 0 FROM log),
cells AS (SELECT dest, cell, sum(n) AS n, sum(delay) AS delay FROM points GROUP BY ALL),
sums AS (SELECT dest, cell, sum(n) OVER w AS n, sum(delay) OVER w AS delay FROM cells
  WINDOW w AS (PARTITION BY dest ORDER BY cell ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
SELECT dest, cell, delay / n AS dest_landed_delay FROM sums WHERE n > 0
"""

COUNTS = f"""
CREATE TABLE counts AS
SELECT carrier, flight, origin, dest, hour, scheduled // {MONTH} * {MONTH} AS period,
  CASE WHEN arr_delay <= {MONTH} THEN land // {MONTH} * {MONTH} END AS cell, count(land) AS n,
  coalesce(sum((arr_delay > 15)::INT), 0) AS late FROM log GROUP BY ALL
"""


def recent(keys: str) -> str:
    by = f"{keys}, " if keys else ""
    part = f"PARTITION BY {keys}" if keys else ""
    return f"""(WITH events AS (SELECT {by} cell, sum(n) AS n, sum(late) AS late FROM counts WHERE cell IS NOT NULL GROUP BY ALL),
      points AS (SELECT * FROM events UNION ALL SELECT {by} cell + {3 * MONTH}, -n, -late FROM events
        UNION ALL SELECT DISTINCT {by} period, 0, 0 FROM counts),
      cells AS (SELECT {by} cell, sum(n) AS n, sum(late) AS late FROM points GROUP BY ALL)
    SELECT {by} cell AS period, coalesce(sum(n) OVER w, 0) AS n, coalesce(sum(late) OVER w, 0) AS late FROM cells
    WINDOW w AS ({part} ORDER BY cell ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))"""


def timetable() -> str:
    codes = ", ".join(f"({name}.late + 20 * prior) / ({name}.n + 20) AS {name}" for name in ENCODINGS)
    joins = " ".join(
        f"LEFT JOIN {recent(', '.join(keys))} {name} USING ({', '.join(keys)}, period)"
        for name, keys in ENCODINGS.items()
    )
    return f"""CREATE TABLE timetable AS SELECT t.*, {codes}
    FROM (SELECT DISTINCT carrier, flight, origin, dest, hour, period FROM counts) t
    LEFT JOIN (SELECT period, CASE WHEN n > 0 THEN late / n END AS prior FROM {recent("")}) USING (period) {joins}"""


LEGS = """
CREATE TABLE legs AS
WITH shifted AS (
  SELECT *, lag(scheduled) OVER w AS s, lag(leave) OVER w AS l, lag(land) OVER w AS a, lag(block) OVER w AS b FROM log
  WINDOW w AS (PARTITION BY tailnum ORDER BY scheduled * 100000 + flight)),
known AS (
  SELECT *, tailnum IS NOT NULL AND scheduled - s <= 1440 AND scheduled - s > 2 * b AS near,
    CASE WHEN a < scheduled THEN a - s - b WHEN l < scheduled THEN l - s ELSE scheduled - s END AS k FROM shifted)
SELECT *EXCLUDE (s, l, a, b, near, k), CASE WHEN near THEN k END AS leg_delay,
  CASE WHEN near THEN scheduled - s - 2 * b - k END AS leg_slack, CASE WHEN near THEN scheduled - s END AS leg_gap
FROM known WHERE arr_delay IS NOT NULL
"""


def run(copies: int, folder: str) -> dict[str, Any]:
    import duckdb

    path = Path(folder) / "duckdb.parquet"
    features = ", ".join(f"{name}::FLOAT AS {name}" for name in FEATURES)
    final = f"""
    COPY (SELECT make_timestamptz(scheduled * 60000000) AS sched_dep, carrier, flight, tailnum, origin, dest,
        (arr_delay > 15)::TINYINT AS late, CASE WHEN month <= 9 THEN 'train' ELSE 'test' END AS split, {features}
      FROM (SELECT l.*, l.year - p.year AS plane_age, seats, engines, b.*EXCLUDE (origin, carrier, cell, due),
          h.*EXCLUDE (origin, hour_utc), dest_landed_delay, {", ".join(f"t.{name}" for name in ENCODINGS)}
        FROM legs l LEFT JOIN planes p USING (tailnum)
        LEFT JOIN board b ON b.origin = l.origin AND b.carrier = l.carrier AND b.cell = l.scheduled // 30 * 30
        LEFT JOIN hours h ON h.origin = l.origin AND h.hour_utc = l.hour_utc
        LEFT JOIN landings d ON d.dest = l.dest AND d.cell = l.scheduled // 180 * 180
        LEFT JOIN timetable t ON t.carrier = l.carrier AND t.flight = l.flight AND t.origin = l.origin AND t.dest = l.dest
          AND t.hour = l.hour AND t.period = l.scheduled // {MONTH} * {MONTH}))
    TO '{path}' (FORMAT parquet, COMPRESSION zstd)"""
    board = f"""CREATE TABLE board AS SELECT a.*, o.*EXCLUDE (origin, cell)
      FROM ({state("carrier", "cells", "origin, carrier", "due,")}) a
      JOIN ({state("origin", AIRPORT, "origin", "")}) o ON o.origin = a.origin AND o.cell = a.cell WHERE due > 0"""
    with duckdb.connect() as db:
        for name, files in datasets.load("flights", copies=copies).paths.items():
            db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({[str(file) for file in files]})")
        for statement in (TIMES, HOURS, CELLS, board, LANDINGS, COUNTS, timetable(), LEGS, final):
            db.execute(statement)
    return checked(path)
