"""The supply: every watt taken is accounted for, more work never takes less, and Frontier comes out as published."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import supply
from aifactory_lab.twin.cooling import Cooling
from aifactory_lab.twin.supply import Converter

SHARES = st.floats(0, 1)
CONVERTERS = st.builds(Converter, st.floats(0, 100), st.floats(0.5, 1))
CHAINS = st.builds(
    dataclasses.replace,
    st.just(supply.frontier()),
    racks=st.integers(0, 100),
    nodes_per_chassis=st.integers(0, 32),
    switches_per_chassis=st.integers(0, 8),
    rectifiers_per_chassis=st.integers(1, 8),
    converter=CONVERTERS,
    rectifier=CONVERTERS,
    ups=CONVERTERS,
    cdus=st.integers(0, 30),
)


def test_frontier_is_the_published_sum_by_hand():
    """RAPS at rest, written out: 74 racks of 8 chassis of 16 nodes, and 25 CDUs."""
    node = (90 + 4 * 88 + 74.26 + 4 * 20 + 30 + 13) / 0.98
    chassis = 4 * ((16 * node + 4 * 250) / 4 + 17) / 0.96
    draw = supply.frontier().draw(gpu=0.0)
    assert draw.total == pytest.approx(74 * 8 * chassis + 25 * 8473.47)
    assert draw.total / 1e6 == pytest.approx(7.3065, abs=5e-5)


@settings(deadline=None)
@given(CHAINS, SHARES, SHARES)
def test_what_is_taken_is_what_becomes_heat(chain, gpu, cpu):
    draw = chain.draw(gpu=gpu, cpu=cpu)
    parts = [getattr(draw, field.name) for field in dataclasses.fields(draw)]
    assert all((part >= 0).all() for part in parts)
    assert draw.total == pytest.approx(sum(parts))
    # The same watts, followed from the nodes towards the grid.
    nodes = chain.racks * chain.chassis_per_rack * chain.nodes_per_chassis
    gpu_watts = chain.gpu_idle_watts + (chain.gpu_max_watts - chain.gpu_idle_watts) * gpu
    assert draw.gpus == pytest.approx(nodes * chain.gpus_per_node * gpu_watts)
    upstream = draw.it + draw.converters + draw.rectifiers + draw.pumps
    assert draw.total == pytest.approx(chain.ups.takes(upstream))


@settings(deadline=None)
@given(CHAINS, st.lists(SHARES, min_size=2, max_size=2), SHARES)
def test_more_work_never_takes_less(chain, pair, cpu):
    low, high = chain.draw(gpu=np.sort(pair), cpu=cpu).total
    assert low <= high


@settings(deadline=None)
@given(CONVERTERS, st.floats(0, 1e6))
def test_a_converter_gives_no_more_than_it_takes(converter, gives):
    assert converter.takes(gives) >= gives
    assert converter.loss(gives) == pytest.approx(converter.takes(gives) - gives)


def test_pue_counts_the_pumps_the_ups_and_the_cooling():
    chain = dataclasses.replace(supply.frontier(), ups=Converter(0, 0.9), cdus=0)
    draw = chain.draw(gpu=1.0, cpu=1.0)
    assert draw.pue() == pytest.approx(1 / 0.9)
    assert draw.pue(0.1 * draw.racks) == pytest.approx(1 / 0.9 + 0.1)
    assert supply.frontier().draw(gpu=1.0, cpu=1.0).pue() == pytest.approx(1 + 25 * 8473.47 / 28.016e6, rel=1e-4)


def test_the_whole_way_from_the_grid_to_the_tower():
    """Racks, their pumps, a UPS and a cooling plant: all that the meter counts leaves as heat."""
    draw = dataclasses.replace(supply.frontier(), ups=supply.UPS).draw(gpu=0.7, cpu=0.5)
    inside = draw.total  # the UPS stands in the building too
    cooled = Cooling(water_celsius=32).run(inside, dry_celsius=30, wet_celsius=24)
    assert inside + cooled.watts == pytest.approx(cooled.rejected_watts + cooled.fan_watts)
    assert 1.05 < draw.pue(cooled.watts) < 1.15


def test_a_day_is_an_array():
    activity = np.linspace(0, 1, 5760)
    draw = supply.frontier().draw(gpu=activity, cpu=0.5)
    assert draw.total.shape == draw.pumps.shape == (5760,)
    assert (np.diff(draw.total) > 0).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"racks": -1}, "racks=-1"),
        ({"gpu_idle_watts": 600.0}, "gpu_idle_watts=600"),
        ({"switch_watts": float("nan")}, "switch_watts=nan"),
    ],
)
def test_a_chain_that_cannot_be_is_refused(change, named):
    with pytest.raises(TwinError, match=named):
        dataclasses.replace(supply.frontier(), **change)


def test_an_impossible_converter_or_activity_is_refused():
    with pytest.raises(TwinError, match=r"efficiency=1\.2"):
        Converter(0, 1.2)
    with pytest.raises(TwinError, match="efficiency=0"):
        Converter(0, 0)
    with pytest.raises(TwinError, match="gpu=2"):
        supply.frontier().draw(gpu=2)
    with pytest.raises(TwinError, match=r"cpu=-0\.1"):
        supply.frontier().draw(gpu=0, cpu=-0.1)
