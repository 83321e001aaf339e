"""The site: energy in is heat out, more GPU watts never draw less, caps are met, warm coolant limits GPUs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import site as sites
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.power import idle_watts

PLANTS = {
    (chassis, rejection): Plant.about(600, chassis, rejection=rejection)
    for chassis in ("dgx-a100", "dgx-b200", "gb200-nvl72")
    for rejection in ("tower", "dry")
}
PLANT = st.sampled_from(list(PLANTS.values()))
AIR = {"dry_celsius": 25.0, "wet_celsius": 18.0}
SHARES = st.floats(0, 1)


def gpus_watts(plant, share):
    rest = idle_watts(plant.gpu)
    return plant.gpus * (rest + share * (plant.gpu.tdp_watts - rest))


@settings(deadline=None, max_examples=60)
@given(PLANT, SHARES, st.floats(-10, 42), st.floats(0, 20))
def test_every_watt_that_comes_in_leaves_as_heat(plant, share, dry, below):
    found = sites.site(plant, gpus_watts(plant, share), dry_celsius=dry, wet_celsius=dry - below)
    parts = sum(vars(found.draw).values()) + found.cooled.watts
    assert found.watts == pytest.approx(parts)
    assert found.heat_watts == pytest.approx(found.watts)
    assert all(part >= 0 for part in vars(found.draw).values())
    assert found.pue >= 1


@settings(deadline=None, max_examples=60)
@given(PLANT, SHARES, SHARES)
def test_more_gpu_watts_never_draw_less(plant, one, other):
    low, high = (sites.site(plant, gpus_watts(plant, share), **AIR).watts for share in sorted((one, other)))
    assert low <= high


def test_full_gpus_draw_the_makers_maximum_of_every_chassis():
    for plant in PLANTS.values():
        draw = sites.site(plant, gpus_watts(plant, 1.0), **AIR).draw
        assert draw.racks - draw.switches == pytest.approx(plant.max_watts)


@settings(deadline=None, max_examples=30)
@given(PLANT, st.floats(0.05, 1))
def test_a_cap_of_the_grid_is_met_by_the_gpus(plant, share):
    watts = sites.site(plant, gpus_watts(plant, share), **AIR).watts
    within = sites.gpus_within(plant, watts, **AIR)
    assert within == pytest.approx(gpus_watts(plant, share), rel=1e-6)
    assert sites.site(plant, within, **AIR).watts <= watts * (1 + 1e-9)


def test_a_cap_that_idle_gpus_break_is_refused():
    plant = PLANTS["dgx-b200", "tower"]
    with pytest.raises(TwinError, match="site_watts=1000"):
        sites.gpus_within(plant, 1000.0, **AIR)
    with pytest.raises(TwinError, match="gpus_watts=-1"):
        sites.site(plant, -1.0, **AIR)
    with pytest.raises(TwinError, match=r"rectifier_efficiency=1\.2"):
        sites.Assumed(rectifier_efficiency=1.2)
    with pytest.raises(TwinError, match="limit_celsius=0"):
        sites.Assumed(limit_celsius=0)


def test_a_gpu_at_its_limit_has_its_limits_temperature_and_warmer_coolant_allows_less():
    plant = Plant(gpus=72, chassis="gb200-nvl72")
    coolant = np.array([40.0, 60.0, 70.0])
    limit = sites.limit_watts(plant, coolant=coolant)
    assert limit[0] == plant.gpu.tdp_watts
    assert limit[0] > limit[1] > limit[2]
    assert coolant[1:] + sites.kelvin_per_watt(plant) * limit[1:] == pytest.approx(85)
    assert sites.limit_watts(plant, coolant=90.0) > idle_watts(plant.gpu)


def test_air_cooled_gpus_get_the_halls_air_and_others_the_cdus_water():
    without = {"chillers": False, "rejection": "dry"}
    assert sites.coolant_celsius(Plant(gpus=8, chassis="dgx-h100"), **AIR) == pytest.approx(27)
    assert sites.coolant_celsius(Plant(gpus=8, chassis="dgx-h100", **without), **AIR) == pytest.approx(36)
    assert sites.coolant_celsius(Plant(gpus=72, chassis="gb200-nvl72"), **AIR) == pytest.approx(44)
    hot = Plant(gpus=72, chassis="gb200-nvl72", **without)
    assert sites.coolant_celsius(hot, dry_celsius=40, wet_celsius=20) == pytest.approx(52)


def test_an_air_cooled_a100_is_as_warm_as_those_that_were_measured():
    plant = Plant(gpus=8, chassis="dgx-a100")
    assert sites.kelvin_per_watt(plant) == pytest.approx(0.092)


def test_every_assumption_says_why():
    assert all(len(str(one["why"])) > 20 for one in sites.assumptions().values())
    assert set(sites.assumptions()) == set(vars(sites.Assumed()))
