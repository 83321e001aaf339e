"""Two ways to the same plant: the closed form of `design` and the simulated day agree when all is calm."""

import pytest

from aifactory_lab.twin.design import Plant, Service, evaluate
from aifactory_lab.twin.operations import operate, traffic


@pytest.mark.parametrize(("rate", "cap"), [(20, None), (60, 300)])
def test_a_steady_hour_draws_and_writes_what_the_closed_form_says(rate, cap):
    plant = Plant(gpus=64, chassis="dgx-h100", gpu_cap_watts=cap)
    service = Service(model="llama-3-70b", tp=4, requests_per_second=rate)
    said = evaluate(plant, service)
    calm = operate(plant, service, traffic.steady(rate), hours=0.5, seed=1).timeline.tail(20).mean()
    happened = calm.row(0, named=True)
    assert happened["tokens_per_second"] == pytest.approx(said.tokens_per_second, rel=0.05)
    assert happened["gpu_activity"] == pytest.approx(float(said.activity.total), rel=0.05)
    assert happened["gpu_watts"] / plant.gpus == pytest.approx(said.gpu_watts, rel=0.03)
    assert happened["site_watts"] == pytest.approx(said.watts, rel=0.02)
    assert happened["pue"] == pytest.approx(said.pue, rel=0.01)
    assert happened["clock"] == pytest.approx(said.clock, abs=0.03)
    # half of the day's prompts are shorter than two thirds of the mean; the closed form knows the mean alone
    assert 0.6 * said.ttft < happened["ttft_p50"] < said.ttft * 1.05
    assert (said.clock < 1) == (cap is not None)
