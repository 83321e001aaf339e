"""Cooling: heat in is heat out, worse weather never costs less, and bad plants are refused. It is not validated."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import cooling, hardware, power
from aifactory_lab.twin.cooling import Cooling
from aifactory_lab.twin.measurements import find

PLANTS = st.builds(
    Cooling,
    water_celsius=st.floats(10, 50),
    liquid_share=st.floats(0, 1),
    rejection=st.sampled_from(cooling.REJECTIONS),
    chillers=st.booleans(),
)
HEAT = st.floats(1e3, 1e9)
DRY = st.floats(-20, 45)
BELOW = st.floats(0, 15)


@settings(deadline=None)
@given(PLANTS, HEAT, DRY, BELOW)
def test_energy_in_is_heat_out(plant, heat, dry, below):
    done = plant.run(heat, dry_celsius=dry, wet_celsius=dry - below)
    into_air = done.rejected_watts + done.fan_watts
    assert heat + done.watts == pytest.approx(into_air)
    assert min(done.pump_watts, done.air_watts, done.chiller_watts, done.fan_watts, done.water_kg_s) >= 0
    assert 0 <= done.chilled_share <= 1 + 1e-12
    assert done.pue >= 1


@settings(deadline=None)
@given(PLANTS, HEAT, BELOW, st.lists(DRY, min_size=2, max_size=2))
def test_hotter_air_never_costs_less(plant, heat, below, airs):
    airs = np.sort(airs)
    cool, hot = plant.run(heat, dry_celsius=airs, wet_celsius=airs - below).watts
    assert cool <= hot * (1 + 1e-12)


@settings(deadline=None)
@given(PLANTS, HEAT, DRY, BELOW, st.floats(0, 20))
def test_warmer_water_never_costs_more(plant, heat, dry, below, warmer):
    warm = dataclasses.replace(plant, water_celsius=plant.water_celsius + warmer)
    air = {"dry_celsius": dry, "wet_celsius": dry - below}
    assert warm.run(heat, **air).watts <= plant.run(heat, **air).watts * (1 + 1e-9)


@settings(deadline=None)
@given(PLANTS, DRY, BELOW, HEAT, st.floats(1, 10))
def test_heat_scales(plant, dry, below, heat, factor):
    air = {"dry_celsius": dry, "wet_celsius": dry - below}
    assert plant.run(factor * heat, **air).watts == pytest.approx(factor * plant.run(heat, **air).watts)


def test_a_dry_cooler_draws_no_water_and_a_tower_does():
    air = {"dry_celsius": 25.0, "wet_celsius": 18.0}
    assert Cooling(rejection="dry").run(1e6, **air).water_kg_s == 0
    litres = Cooling().run(1e6, **air).water_kg_s * 3600
    assert 1500 < litres < 2500  # about 1.8 litres a kWh: the usual figure for towers


def test_warm_water_needs_no_chiller_where_cold_water_does():
    air = {"dry_celsius": 35.0, "wet_celsius": 28.0}
    warm, cold = (Cooling(water_celsius=water, liquid_share=1.0).run(1e6, **air) for water in (40.0, 20.0))
    assert warm.chiller_watts == 0
    assert cold.chiller_watts > 0.05e6
    assert warm.pue < cold.pue


@settings(deadline=None)
@given(PLANTS, DRY, BELOW)
def test_water_is_as_asked_where_there_are_chillers_and_as_warm_as_the_air_makes_it_where_not(plant, dry, below):
    with_, without = (dataclasses.replace(plant, chillers=chillers) for chillers in (True, False))
    air = {"dry_celsius": dry, "wet_celsius": dry - below}
    assert with_.run(1e6, **air).water_celsius == plant.water_celsius
    done = without.run(1e6, **air)
    assert done.chiller_watts == done.chilled_share == 0
    approach = plant.approach_tower_kelvin - below if plant.rejection == "tower" else plant.approach_dry_kelvin
    assert done.water_celsius == pytest.approx(max(plant.water_celsius, dry + approach))


def test_a_heat_wave_reaches_the_clocks():
    """No chillers, a dry cooler, an ever hotter day: warmer water, a lower cap, slower clocks, never the other way."""
    gpu = hardware.gpu("h100")
    days = np.arange(20.0, 56.0)
    water = Cooling(rejection="dry", chillers=False).run(1e6, dry_celsius=days, wet_celsius=days - 10).water_celsius
    caps = cooling.gpu_limit_watts(85.0, coolant_celsius=water, kelvin_per_watt=0.05)
    clocks = power.clock(gpu, 1.0, cap_watts=caps)
    assert clocks[0] == 1
    assert clocks[-1] < 0.9
    assert (np.diff(clocks) <= 0).all()
    drawn = power.gpu_watts(gpu, 1.0, clock=clocks)
    assert (cooling.gpu_celsius(drawn, coolant_celsius=water, kelvin_per_watt=0.05) <= 85 + 1e-9).all()
    with pytest.raises(TwinError, match="coolant_celsius=90"):
        cooling.gpu_limit_watts(85.0, coolant_celsius=90)


def test_a_chiller_is_no_better_than_carnot():
    plant = Cooling(water_celsius=15.0, liquid_share=1.0, cop_most=1000.0, carnot_share=1.0)
    done = plant.run(1e6, dry_celsius=40.0, wet_celsius=30.0)
    carnot = (15 + 273.15) / (30 + 4 + 5 - 15)
    assert done.chilled_share == 1
    assert done.chiller_watts == pytest.approx(1e6 / carnot, rel=1e-6)


def test_the_guesses_are_named_as_such():
    assert cooling.VALIDATED is False
    assert "NOT VALIDATED" in cooling.__doc__
    names = {field.name for field in dataclasses.fields(Cooling)}
    assert set(cooling.assumptions()) <= names
    assert all(str(one["why"]) for one in cooling.assumptions().values())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rejection": "river"}, "river"),
        ({"liquid_share": 1.2}, r"liquid_share=1\.2"),
        ({"rise_kelvin": 0.0}, r"rise_kelvin=0\.0"),
        ({"blowdown_cycles": 1.0}, r"blowdown_cycles=1\.0"),
    ],
)
def test_a_plant_that_cannot_be_is_refused(change, named):
    with pytest.raises(TwinError, match=named):
        Cooling(**change)


def test_weather_and_heat_that_cannot_be_are_refused():
    with pytest.raises(TwinError, match="wet_celsius=30"):
        Cooling().run(1e6, dry_celsius=20, wet_celsius=30)
    with pytest.raises(TwinError, match="heat_watts=-5"):
        Cooling().run(-5, dry_celsius=20, wet_celsius=10)
    with pytest.raises(TwinError, match="humidity=50"):
        cooling.wet_bulb(20, 50)


@settings(deadline=None)
@given(st.floats(5, 45), st.floats(0.05, 1), st.floats(0.05, 1))
def test_a_wet_bulb_is_never_above_the_air_and_rises_with_humidity(air, one, other):
    low, high = cooling.wet_bulb(air, np.sort([one, other]))
    assert high <= air
    assert low <= high + 0.5  # the paper's fit is not quite monotone where air is cool and dry


def test_a_wet_bulb_is_that_of_the_paper():
    assert cooling.wet_bulb(20, 0.5) == pytest.approx(13.7, abs=0.05)  # Stull (2011), its worked example


def test_an_nvl72_needs_the_published_flow():
    assert 160 < cooling.flow_litres_per_minute(115e3, 10) < 172


def test_fewer_cdus_take_less_heat():
    cdu = hardware.cdu("row-1350")
    assert cooling.limit_watts(cdu, 2, liquid_share=1.0) == 2.7e6
    assert cooling.limit_watts(cdu, 1, liquid_share=0.5) == 2.7e6
    with pytest.raises(TwinError, match="running=0"):
        cooling.limit_watts(cdu, 0, liquid_share=0.85)


@pytest.mark.parametrize(("cluster", "kelvin"), [("seren", 3.2), ("kalos", 4.6)])
def test_an_a100_is_as_warm_as_in_the_field(measurements, cluster, kelvin):
    """Temperature and power of the same quantile: fitted on Seren, not on Kalos."""
    watts, warmth = (pl.read_csv(find(f"gpu_{kind}_{cluster}.csv"))["x1"].to_numpy() for kind in ("power", "temp"))
    assert np.abs(cooling.gpu_celsius(watts) - warmth).mean() < kelvin


def test_what_cold_plates_take_may_be_told_and_less_of_it_costs_more_fans():
    plant = cooling.Cooling(liquid_share=0.85)
    air = {"dry_celsius": 25, "wet_celsius": 18}
    usual, told, less = (plant.run(1e6, liquid_watts=liquid, **air) for liquid in (None, 0.85e6, 0.5e6))
    assert told.watts == pytest.approx(usual.watts)
    assert less.air_watts > told.air_watts
    for found in (usual, told, less):
        assert found.rejected_watts + found.fan_watts == pytest.approx(found.heat_watts + found.watts)
    with pytest.raises(TwinError, match=r"liquid_watts=2000000\.0"):
        plant.run(1e6, liquid_watts=2e6, **air)


def test_a_tower_follows_the_wet_bulb_and_a_dry_cooler_the_air():
    air = {"dry_celsius": 30.0, "wet_celsius": 20.0}
    assert cooling.Cooling(rejection="tower").reached(**air) == pytest.approx(24)
    assert cooling.Cooling(rejection="dry").reached(**air) == pytest.approx(38)
