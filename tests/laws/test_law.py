"""The closed forms against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.laws.law import EPOCH, HOFFMANN, Law

LAWS = st.builds(
    Law, st.floats(0, 3), st.floats(10, 2000), st.floats(10, 5000), st.floats(0.15, 0.9), st.floats(0.15, 0.9)
)


@given(LAWS, st.floats(1e15, 1e25))
def test_the_optimum_is_the_least_of_all_sizes(law, flops):
    best = law.optimum(flops)
    assert 6 * best.parameters * best.tokens == pytest.approx(flops)
    others = law.along(flops, best.parameters * np.geomspace(0.01, 100, 401))
    assert best.loss <= others.min() * (1 + 1e-12)
    assert law.optimum(flops * 10).loss < best.loss


@given(LAWS, st.floats(1e15, 1e25))
def test_the_cheapest_training_for_a_loss_is_the_frontier_turned_round(law, flops):
    back = law.reaching(float(law.optimum(flops).loss))
    assert back.loss == pytest.approx(law.optimum(flops).loss, rel=1e-9)
    if law.optimum(flops).loss - law.E > 1e-6:  # else rounding of the floor eats the rest
        assert back.flops == pytest.approx(flops, rel=1e-3)


def test_it_grows_as_the_papers_say():
    assert HOFFMANN.size_exponent == pytest.approx(0.45, abs=0.005)  # table 2, approach 3: 0.46
    assert EPOCH.size_exponent == pytest.approx(0.51, abs=0.005)  # the replication: 0.51
    chinchilla = EPOCH.optimum(5.76e23)  # which was trained on 20 tokens a parameter
    assert 15 < chinchilla.tokens / chinchilla.parameters < 25
    assert HOFFMANN.optimum(5.76e23).tokens / HOFFMANN.optimum(5.76e23).parameters > 60, "what the replication mended"


def test_arrays_go_through():
    best = EPOCH.optimum([1e20, 1e22])
    assert best.loss.shape == (2,)
    assert EPOCH.loss([1e9, 1e10], [[1e10], [1e11]]).shape == (2, 2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Law(1, -2, 3, 0.3, 0.3), "is no law"),
        (lambda: EPOCH.loss(0, 1e9), "parameters=0 must be positive"),
        (lambda: EPOCH.optimum([1e20, -1.0]), "flops="),
        (lambda: EPOCH.reaching(1.8), "the floor is 1.817"),
    ],
)
def test_what_cannot_be_is_said(make, said):
    with pytest.raises(TwinError, match=said) as raised:
        make()
    assert raised.value.mend
