"""Other designs for the same requests: none of them is beaten, and a design of the same shape lies among them."""

import numpy as np
import pytest

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.alternatives import front
from aifactory_lab.twin.design import Service, evaluate
from aifactory_lab.twin.plant import Plant

FEW = {"water_celsius": [40.0], "rejection": ["tower"], "cap_share": [1.0], "tp": [2], "precision": ["fp8"]}


@pytest.fixture(scope="module")
def outcome():
    service = Service(model="llama-3-70b", tp=2, isl=512, osl=128, concurrency=16)
    return evaluate(Plant.about(1024, "dgx-h100"), service)


def test_none_of_the_best_is_beaten_by_another_of_its_chassis(outcome):
    found = front(outcome, chassis=["dgx-h100", "dgx-b200"], concurrency=[1.0, 4.0, 16.0, 64.0])
    for _, own in found.group_by("chassis"):
        ordered = own.sort("tpot")
        assert np.all(np.diff(ordered["tokens_per_second_per_mw"]) > 0)
    assert set(found["model"]) == {"llama-3-70b"}
    assert set(found["isl"]) == {512.0}


def test_the_design_itself_is_reckoned_alike(outcome):
    (row,) = front(outcome, chassis=["dgx-h100"], concurrency=[16.0], **FEW).rows(named=True)
    assert row["tpot"] == pytest.approx(outcome.tpot, rel=1e-4)
    assert row["tokens_per_second_per_mw"] == pytest.approx(outcome.tokens_per_second_per_mw, rel=0.02)


def test_an_axis_that_there_is_not_is_named(outcome):
    with pytest.raises(TwinError, match="no axis 'colour'"):
        front(outcome, colour=["red"])
