"""The air outside, hour by hour: a measured day, a steady one, a heat wave made of either.

Measured days are those of the flights' weather table: New York's three airports in 2013, their mean. What the air does
to a plant is `cooling`'s to say.

>>> hot = new_york("2013-07-18")
>>> float(hot.dry_celsius.max().round(1)), float(hot.wet_celsius.max().round(1))
(36.1, 25.4)
>>> dry, wet = steady(25, humidity=0.5).warmer(by=8).at(3600)
>>> float(dry), float(wet.round(1))
(33.0, 24.9)
"""

from dataclasses import dataclass, replace
from datetime import date as calendar
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.cooling import wet_bulb

Numbers = NDArray[np.float64]
HOUR = 3600.0
LEAST_HUMIDITY = 0.05  # below it the formula of the wet bulb does not hold


@dataclass(frozen=True)
class Climate:
    """The air by hour; after the last hour comes the first again.

    Attributes
    ----------
    dry_celsius, wet_celsius
        Temperature of the air and of its wet bulb at each full hour.
    humidity
        Relative, 0.05 to 1.
    note
        Where and when it was measured, or that it was not.

    Raises
    ------
    TwinError
        If there is no hour, or a figure is not finite.
    """

    dry_celsius: Numbers
    wet_celsius: Numbers
    humidity: Numbers
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("dry_celsius", "wet_celsius", "humidity"):
            value = getattr(self, name)
            if not len(value) or len(value) != len(self.dry_celsius) or not np.isfinite(value).all():
                msg = f"{name}={value!r} is not a temperature or a share for each hour"
                raise TwinError(msg, mend="climate.steady(25, humidity=0.5)")

    @property
    def hours(self) -> int:
        """Hours until it starts again."""
        return len(self.dry_celsius)

    def at(self, seconds: ArrayLike) -> tuple[Numbers, Numbers]:
        """Return the air's and its wet bulb's temperature in °C at these seconds, straight between the hours."""
        when = np.asarray(seconds, np.float64) / HOUR % self.hours
        hours = np.arange(self.hours + 1)
        dry, wet = (
            np.asarray(np.interp(when, hours, np.append(one, one[0])), np.float64)
            for one in (self.dry_celsius, self.wet_celsius)
        )
        return dry, wet

    def warmer(self, by: float, *, hours: tuple[float, float] | None = None) -> "Climate":
        """Return it with warmer air of the same relative humidity: a heat wave, which is moist as well as hot.

        Parameters
        ----------
        by
            Kelvin; negative for a cold spell.
        hours
            From and to; all by default.
        """
        first, last = hours or (0, self.hours)
        when = np.arange(self.hours)
        dry = self.dry_celsius + by * ((when >= first) & (when <= last))
        note = f"{self.note}, {by:+g} K" + (f" from hour {first:g} to {last:g}" if hours else "")
        return replace(self, dry_celsius=dry, wet_celsius=wet_bulb(dry, self.humidity), note=note)


def steady(dry_celsius: float = 25.0, *, humidity: float = 0.5) -> Climate:
    """Return a day of the same air at every hour.

    Raises
    ------
    TwinError
        If the humidity is not a share of 0.05 to 1.
    """
    dry = np.full(24, float(dry_celsius))
    moist = np.full(24, float(humidity))
    return Climate(
        dry, wet_bulb(dry, moist), moist, f"steady {dry_celsius:g} °C, {humidity:.0%} humidity, not measured"
    )


def new_york(date: str = "2013-07-15") -> Climate:
    """Return a day as New York's airports measured it in 2013, hour by hour.

    Raises
    ------
    TwinError
        If the date is not one of 2013, or fewer than 20 of its hours were measured.
    """
    try:
        day = calendar.fromisoformat(date)
    except ValueError as error:
        msg = f"date={date!r} is not a date: {error}"
        raise TwinError(msg, mend='climate.new_york("2013-07-15")') from error
    measured = _weather().filter(day=day)
    if len(measured) < 20:
        msg = f"date={date!r}: {len(measured)} hours of it were measured; the table has days of 2013"
        raise TwinError(msg, mend='climate.new_york("2013-07-15")')
    hours = np.arange(24)
    dry, moist = (np.interp(hours, measured["hour"], measured[name]) for name in ("dry", "humidity"))
    return Climate(dry, wet_bulb(dry, moist), moist, f"New York, {date}, measured")


def days() -> pl.DataFrame:
    """Return the measured days: ``day``, and ``coldest``, ``mean`` and ``hottest`` in °C."""
    found = pl.col("dry")
    figures = {"coldest": found.min(), "mean": found.mean(), "hottest": found.max(), "hours": pl.len()}
    return _weather().group_by("day").agg(**figures).filter(pl.col("hours") >= 20).drop("hours").sort("day")


@cache
def _weather() -> pl.DataFrame:
    """Return the three airports' mean by hour, in °C and as a share."""
    from aifactory_lab import datasets

    told = datasets.load("flights")["weather"].drop_nulls(["temp", "humid"])
    when = [pl.date("year", "month", "day").alias("day"), pl.col("hour").cast(pl.Int64)]
    celsius = (pl.col("temp") - 32) / 1.8  # the table is in °F
    moist = (pl.col("humid") / 100).clip(LEAST_HUMIDITY, 1.0)
    found = told.group_by(when).agg(dry=celsius.mean(), humidity=moist.mean())
    return found.sort("day", "hour").collect()
