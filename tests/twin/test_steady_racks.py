"""Racks under a steady load: nothing is lost between the plant's figures and those of its racks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.twin.design import Service, evaluate
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.site import Assumed
from aifactory_lab.twin.steady_racks import racks


@settings(max_examples=20, deadline=None)
@given(
    chassis=st.sampled_from(["dgx-h100", "gb200-nvl72"]),
    count=st.integers(2, 9),
    training=st.integers(0, 1),
    rate=st.floats(0.1, 200),
    tp=st.sampled_from([2, 3, 4, None]),
)
def test_racks_and_switches_draw_what_the_plant_draws(chassis, count, training, rate, tp):
    plant = Plant(gpus=count * (8 if chassis == "dgx-h100" else 72), chassis=chassis)
    service = Service(requests_per_second=rate, tp=tp, training_gpus=training * plant.gpus_per_chassis)
    outcome = evaluate(plant, service)
    found = racks(outcome)
    switches = plant.fabric.switches * Assumed().switch_watts
    assert found["watts"].sum() + switches == pytest.approx(outcome.it_watts)
    assert found["tokens_per_second"].sum() == pytest.approx(outcome.tokens_per_second)
    assert found["gpus_up"].sum() == plant.gpus
    assert found["celsius"].max() >= outcome.gpu_celsius - 1e-9


def test_racks_that_train_write_nothing_and_stand_last():
    outcome = evaluate(Plant(gpus=216, chassis="gb200-nvl72"), Service(requests_per_second=50, training_gpus=72))
    written = racks(outcome)["tokens_per_second"].to_list()
    assert written[2] == 0
    assert written[0] == written[1] > 0
