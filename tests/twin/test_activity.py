"""Activity: a share from nothing to all, more with more work, never moved by an open batch alone; caps hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import hardware, models, power, step_costs
from aifactory_lab.twin.activity import activity
from aifactory_lab.twin.inference import fitted

GPUS = st.sampled_from([hardware.gpu(name) for name in ("a100-80", "h100-sxm", "h200-sxm", "b200-sxm", "gb300")])
MODELS = st.sampled_from(["llama-3-8b", "llama-3-70b", "gpt-oss-120b"])
SHARES = st.floats(0, 1)


def costs(gpu, model="llama-3-70b", clock=1.0, tp=8):
    shape = models.model(model)
    return step_costs.of(shape, gpu, tp=tp, precision="fp8", parameters=fitted().parameters, clock=clock)


@settings(deadline=None, max_examples=60)
@given(GPUS, MODELS, st.floats(1, 2048), st.floats(1, 32_000), SHARES, SHARES)
def test_it_is_a_share_that_no_work_leaves_at_nothing_and_watts_lie_between_idle_and_tdp(
    gpu, model, batch, context, prefilling, decoding
):
    prefilling *= 1 - decoding
    found = activity(costs(gpu, model), batch, context, prefilling=prefilling, decoding=decoding)
    assert found.core >= 0
    assert found.memory >= 0
    assert found.total <= 1
    assert power.idle_watts(gpu) <= found.watts(gpu) <= gpu.tdp_watts * (1 + 1e-12)
    idle = activity(costs(gpu, model), batch, context, decoding=0.0)
    assert idle.watts(gpu) == pytest.approx(power.idle_watts(gpu))


@settings(deadline=None, max_examples=60)
@given(GPUS, st.floats(1, 512), st.floats(1, 8000), SHARES, SHARES)
def test_more_time_at_work_never_draws_less(gpu, batch, context, one, other):
    low, high = sorted((one, other))
    less, more = (activity(costs(gpu), batch, context, decoding=share).watts(gpu) for share in (low, high))
    assert less <= more


def test_an_open_batch_alone_says_nothing_one_sequence_draws_far_less_than_many_and_prompts_most():
    h100 = hardware.gpu("h100-sxm")
    found = costs(h100, tp=2)
    alone, many = activity(found, [1, 256], 1024).watts(h100)
    prompts = activity(found, 1, 1024, prefilling=1.0, decoding=0.0).watts(h100)
    assert alone < 0.5 * h100.tdp_watts
    assert alone + 100 < many < prompts
    assert prompts > 0.8 * h100.tdp_watts


@settings(deadline=None, max_examples=60)
@given(GPUS, st.floats(1, 512), st.floats(1, 8000), st.floats(0.01, 1.2))
def test_a_cap_is_kept_by_no_more_clock_than_it_must(gpu, batch, context, part):
    cap = power.idle_watts(gpu) + part * (gpu.tdp_watts - power.idle_watts(gpu))
    found = activity(costs(gpu), batch, context)
    clock = found.clock(gpu, cap_watts=cap)
    drawn = found.watts(gpu, clock=clock)
    assert power.LEAST_CLOCK <= clock <= 1
    assert clock == power.LEAST_CLOCK or drawn <= cap * (1 + 1e-9)
    assert clock in (1, power.LEAST_CLOCK) or drawn == pytest.approx(cap)


def test_a_lower_clock_slows_arithmetic_at_once_and_memory_only_below_its_own_share():
    h100 = hardware.gpu("h100-sxm")
    full, lower, low = costs(h100, clock=1.0), costs(h100, clock=step_costs.MEMORY_CLOCK), costs(h100, clock=0.3)
    assert lower.compute_seconds == pytest.approx(full.compute_seconds / step_costs.MEMORY_CLOCK)
    assert lower.reading(8, 100) == pytest.approx(full.reading(8, 100))
    assert low.reading(8, 100) == pytest.approx(full.reading(8, 100) * step_costs.MEMORY_CLOCK / 0.3)
    assert low.link_seconds == full.link_seconds
    assert full.prefill(1000) < lower.prefill(1000) < low.prefill(1000)


def test_what_cannot_be_is_refused():
    h100 = hardware.gpu("h100-sxm")
    with pytest.raises(TwinError, match=r"prefilling=0\.7"):
        activity(costs(h100), 1, 100, prefilling=0.7, decoding=0.7)
    with pytest.raises(TwinError, match="decoding=-1"):
        activity(costs(h100), 1, 100, decoding=-1)
    with pytest.raises(TwinError, match="cap_watts=50"):
        activity(costs(h100), 1, 100).clock(h100, cap_watts=50)
    assert np.isfinite(activity(costs(h100), 1, 100).total)
