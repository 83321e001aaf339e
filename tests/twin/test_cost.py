"""Prices: sums by hand, ranges in order, assumptions that may be edited, and none that is hidden."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import cost

PLANT = {"tokens_per_second": 1e6, "gpus": 1000, "it_watts": 1.2e6, "pue": 1.1}
SIZES = st.floats(1, 1e9)
NOTHING = dict.fromkeys(
    ("gpu_dollars", "building_dollars_per_watt", "upkeep_per_year", "grid_kg_per_kwh", "embodied_kg", "dollars_per_m3"),
    0,
)


def test_energy_is_the_sum_by_hand():
    """1.25 megawatts for an hour at 10 cents are 125 dollars; 1,000 tokens a second for an hour are 3.6 million."""
    bill = cost.per_mtoken(
        tokens_per_second=1000, gpus=1, it_watts=1e6, pue=1.25,
        assume=NOTHING | {"dollars_per_kwh": 0.1, "utilisation": 1, "grid_kg_per_kwh": 0.4},
    )  # fmt: skip
    assert bill.dollars == pytest.approx((125 / 3.6,) * 3)
    assert bill.kg_co2e == pytest.approx((500 / 3.6,) * 3)


def test_hardware_is_written_off_by_hand():
    """A GPU of 31,557.6 dollars over one year is a thousandth of a dollar a second."""
    bill = cost.per_mtoken(
        tokens_per_second=1000, gpus=1, it_watts=1e3, pue=1.0,
        assume=NOTHING | {"gpu_dollars": 31_557.6, "hardware_years": 1, "dollars_per_kwh": 0, "utilisation": 1},
    )  # fmt: skip
    assert bill.dollars == pytest.approx((1.0,) * 3)


@settings(deadline=None)
@given(SIZES, SIZES, SIZES, st.floats(1, 3), st.floats(0, 100))
def test_ranges_are_in_order_and_parts_sum_up(tokens, gpus, watts, pue, water):
    bill = cost.per_mtoken(tokens_per_second=tokens, gpus=gpus, it_watts=watts, pue=pue, water_kg_s=water)
    for low, usual, high in (*bill.parts.values(), *bill.carbon.values(), bill.dollars, bill.kg_co2e):
        assert 0 <= low <= usual <= high
    for end in range(3):
        assert bill.dollars[end] == pytest.approx(sum(part[end] for part in bill.parts.values()))


@settings(deadline=None)
@given(st.sampled_from(["gpus", "it_watts", "pue"]), st.floats(1, 10))
def test_more_of_anything_never_costs_less(name, factor):
    more = cost.per_mtoken(**(PLANT | {name: PLANT[name] * factor}))
    less = cost.per_mtoken(**PLANT)
    assert all(one >= other for one, other in zip(more.dollars, less.dollars, strict=True))
    assert all(one >= other for one, other in zip(more.kg_co2e, less.kg_co2e, strict=True))


@settings(deadline=None)
@given(st.floats(1, 100))
def test_more_tokens_cost_less_each(factor):
    more = cost.per_mtoken(**(PLANT | {"tokens_per_second": PLANT["tokens_per_second"] * factor}))
    for one, other in zip(more.dollars, cost.per_mtoken(**PLANT).dollars, strict=True):
        assert one == pytest.approx(other / factor)


def test_every_assumption_is_shown_and_says_what_it_rests_on():
    table = cost.assumptions()
    assert table["by"].str.len_chars().min() > 5
    assert table.filter(table["assumption"] == "dollars_per_kwh")["usual"].item() == 0.094
    bill = cost.per_mtoken(**PLANT, assume={"dollars_per_kwh": (0.01, 0.02, 0.03)})
    assert set(bill.assumed) == set(table["assumption"])
    assert bill.assumed["dollars_per_kwh"] == (0.01, 0.02, 0.03)
    shown = bill.table()
    assert shown.filter((shown["part"] == "all") & (shown["unit"] == "USD"))["usual"].item() == bill.dollars[1]


@pytest.mark.parametrize("name", list(cost.assumptions()["assumption"]))
def test_every_assumption_moves_the_bill(name):
    usual = cost.assumptions().filter(cost.assumptions()["assumption"] == name)["usual"].item()
    plain, moved = (cost.per_mtoken(**PLANT, water_kg_s=1.0, assume={name: value}) for value in (usual, 0.9 * usual))
    assert (plain.dollars, plain.kg_co2e) != (moved.dollars, moved.kg_co2e)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"tokens_per_second": 0}, "tokens_per_second=0"),
        ({"gpus": -1}, "gpus=-1"),
        ({"it_watts": float("nan")}, "it_watts=nan"),
        ({"pue": 0.9}, r"pue=0\.9"),
        ({"water_kg_s": -1}, "water_kg_s=-1"),
        ({"assume": {"tarrif": 0.1}}, "tarrif"),
        ({"assume": {"dollars_per_kwh": -0.1}}, r"dollars_per_kwh=-0\.1"),
        ({"assume": {"utilisation": 1.5}}, r"utilisation=1\.5"),
        ({"assume": {"hardware_years": 0}}, "hardware_years=0"),
        ({"assume": {"gpu_dollars": (1, 2)}}, "gpu_dollars"),
    ],
)
def test_what_cannot_be_is_refused(change, named):
    with pytest.raises(TwinError, match=named) as refused:
        cost.per_mtoken(**(PLANT | change))
    assert refused.value.mend
