"""The closed form: by hand where a hand can, lawful everywhere, and refused where it cannot be."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import hardware, inference, models, serving, step_costs
from aifactory_lab.twin.step_costs import Parameters
from aifactory_lab.twin.traces import Trace

IDEAL = Parameters(1.0, 1.0, 1.0)
H100 = hardware.gpu("h100-sxm")
LAWS = settings(max_examples=60, deadline=None)
loads = st.fixed_dictionaries(
    {
        "isl": st.integers(16, 16_000),
        "osl": st.integers(2, 4_000),
        "concurrency": st.integers(1, 300),
        "tp": st.sampled_from([4, 8]),
        "precision": st.sampled_from(["fp8", "fp4", "int4"]),
        "engine": st.sampled_from(step_costs.ENGINES),
    }
)
named = st.sampled_from(["llama-3-70b", "qwen3-235b-a22b", "gpt-oss-120b"])


class Other:
    """A GPU that is another one but for some figures."""

    def __init__(self, like, **figures):
        self.__dict__.update(
            {key: getattr(like, key) for key in step_costs.Chip.__dict__ if not key.startswith("_")} | figures
        )


def test_one_sequence_is_bound_by_reading_the_weights():
    llama = models.model("llama-3-70b")
    found = inference.predict(llama, H100, tp=8, isl=1, osl=2, precision="fp8", parameters=IDEAL)
    read = (llama.always + 2 * llama.embedding + 2 * llama.kv_bytes_per_token()) / 8
    links = 2 * 80 * 2 * (7 / 8) * 8192 * 2 / (0.7 * 450e9)
    assert found.tpot == pytest.approx(read / 3.35e12 + links, rel=1e-9)


def test_a_long_prompt_is_bound_by_arithmetic():
    llama = models.model("llama-3-8b")
    own = step_costs.of(llama, H100, parameters=IDEAL)
    products = 2 * (llama.active_parameters - llama.embedding) * 4096
    attention = 4 * 32 * 32 * 128 * 4096 * 4096 / 2  # layers, heads, values a head, and half of the square
    assert own.prefill(4096) == pytest.approx((products + attention) / H100.flops_dense["bf16"], rel=1e-9)
    # What is read in two halves costs the same as what is read at once.
    assert own.prefill(2048) + own.prefill(2048, cached=2048) == pytest.approx(own.prefill(4096), rel=1e-12)


def test_what_passes_between_matrices_costs_bandwidth_in_steps_and_in_prompts():
    llama = models.model("llama-3-8b")
    lossy = replace(IDEAL, elementwise=0.5)
    with_it, without = (step_costs.of(llama, H100, tp=[1, 2], parameters=one) for one in (lossy, IDEAL))
    moved = [2 * (llama.whole_values + llama.shared_values / size) / (0.5 * 3.35e12) for size in (1, 2)]
    assert with_it.sequence_seconds - without.sequence_seconds == pytest.approx(moved, rel=1e-12)
    assert with_it.prefill_seconds - without.prefill_seconds == pytest.approx(moved, rel=1e-9)


def test_a_compiled_scheduler_has_its_own_cost():
    both = replace(IDEAL, sequence_seconds=3e-5, compiled_sequence_seconds=1e-5)
    costs = {
        engine: step_costs.of(models.model("llama-3-8b"), H100, engine=engine, parameters=both)
        for engine in step_costs.ENGINES
    }
    assert costs["vllm"].sequence_seconds == costs["sglang"].sequence_seconds == pytest.approx(3e-5)
    assert costs["trtllm"].sequence_seconds == pytest.approx(1e-5)


def test_a_mixture_reads_the_experts_that_a_batch_meets():
    own = step_costs.of(models.model("gpt-oss-120b"), H100, tp=2, precision="fp4", parameters=IDEAL)
    one, all_of_them = own.weights(1) - own.always_seconds, own.weights(10_000) - own.always_seconds
    assert one / all_of_them == pytest.approx(4 / 128)
    assert all_of_them == pytest.approx(own.experts_seconds)


@pytest.mark.parametrize(("name", "parts"), [("llama-3-70b", [1, 4, 8, 8]), ("deepseek-v3", [1, 1, 1, 1])])
def test_keys_and_values_are_shared_as_far_as_there_are_heads(name, parts):
    model = models.model(name)
    own = step_costs.of(model, H100, tp=[1, 4, 8, 16], precision="fp8", parameters=IDEAL)
    assert (model.kv_bytes_per_token() / own.kv_bytes).tolist() == parts
    assert own.weight_bytes[3] == own.weight_bytes[0] / 16


def test_the_memory_bounds_the_batch():
    found = inference.predict("llama-3-70b", H100, tp=2, isl=8192, osl=1024, concurrency=[16, 64, 128], precision="fp8")
    assert found.batch.tolist()[0] == 16
    assert found.batch[1] == found.batch[2] < 64
    assert found.tpot[1] == found.tpot[2]
    assert found.ttft[2] > found.ttft[1] > 10 * found.ttft[0]  # they wait to be admitted


@LAWS
@given(model=named, load=loads)
def test_more_bandwidth_is_never_slower(model, load):
    b200 = hardware.gpu("b200-sxm")
    wider = Other(b200, memory_bandwidth_bytes_s=1.3 * b200.memory_bandwidth_bytes_s)
    before, after = (inference.predict(model, gpu, **load) for gpu in (b200, wider))
    assert after.tpot <= before.tpot
    assert after.tokens_per_second >= before.tokens_per_second * (1 - 1e-12)


@LAWS
@given(model=named, load=loads, more=st.integers(1, 100))
def test_it_is_monotone_in_the_load(model, load, more):
    pair = np.array([load["concurrency"], load["concurrency"] + more])
    found = inference.predict(model, "b200-sxm", **{**load, "concurrency": pair})
    assert found.tpot[1] >= found.tpot[0] * (1 - 1e-12)
    assert found.ttft[1] >= found.ttft[0] * (1 - 1e-12)
    longer = inference.predict(model, "b200-sxm", **{**load, "isl": load["isl"] + more})
    assert longer.e2e >= inference.predict(model, "b200-sxm", **load).e2e * (1 - 1e-12)


@LAWS
@given(load=loads)
def test_what_is_in_the_replica_is_what_little_says(load):
    """Little's law: requests in the replica = requests per second × seconds that each stays (its last step aside)."""
    found = inference.predict("llama-3-70b", "b200-sxm", **load)
    stays = found.ttft + load["osl"] * found.tpot
    assert found.requests_per_second * stays == pytest.approx(load["concurrency"], rel=1e-9)


def test_many_configurations_are_the_same_as_one_by_one():
    seed = np.random.default_rng(5)
    sizes = {"tp": 2 ** seed.integers(1, 4, 20), "isl": seed.integers(10, 9000, 20), "osl": seed.integers(1, 999, 20)}
    together = inference.predict("gpt-oss-120b", "h200-sxm", **sizes, concurrency=32, precision="fp4")
    for n in range(20):
        one = {key: value[n] for key, value in sizes.items()}
        alone = inference.predict("gpt-oss-120b", "h200-sxm", **one, concurrency=32, precision="fp4")
        assert together.tpot[n] == pytest.approx(float(alone.tpot), rel=1e-12)
        assert together.tokens_per_second_per_gpu[n] == pytest.approx(float(alone.tokens_per_second_per_gpu), rel=1e-12)


def test_what_does_not_fit_is_said_with_its_size():
    with pytest.raises(TwinError, match=r"llama-3-70b in bf16 takes 141\.1 GB of each h100-sxm") as refused:
        inference.predict("llama-3-70b", "h100-sxm")
    assert "tp=" in refused.value.mend
    some = inference.predict("llama-3-70b", "h100-sxm", tp=[1, 4])
    assert np.isnan(some.tpot[0])
    assert some.tpot[1] > 0
    with pytest.raises(TwinError, match="GB of each GPU"):
        serving.Steps.of(step_costs.of(models.model("llama-3-70b"), H100, parameters=IDEAL))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"tp": 0}, "tp=0"),
        ({"tp": 1.5}, r"tp=1\.5"),
        ({"isl": -5}, "isl=-5"),
        ({"osl": float("nan")}, "osl=nan"),
        ({"concurrency": []}, r"concurrency=\[\]"),
        ({"precision": "fp3"}, "'fp3'"),
        ({"engine": "ollama"}, "'ollama'"),
        ({"gpu": "h900"}, "'h900'"),
        ({"model": "llama-9"}, "'llama-9'"),
    ],
)
def test_what_cannot_be_is_refused_by_its_value(options, word):
    with pytest.raises(TwinError, match=word) as refused:
        inference.predict(**{"model": "llama-3-8b", "gpu": "h100-sxm"} | options)
    assert refused.value.mend


def test_a_chip_without_figures_is_asked_for_them():
    no_link = Other(H100, nvlink_bytes_s_per_direction=None, pcie_bytes_s_per_direction=None)
    with pytest.raises(TwinError, match="no figure for a link"):
        inference.predict("llama-3-8b", no_link, tp=2)
    assert inference.predict("llama-3-8b", no_link).tpot > 0
    slow = Other(H100, nvlink_bytes_s_per_direction=None)
    assert inference.predict("llama-3-8b", slow, tp=2).tpot > inference.predict("llama-3-8b", H100, tp=2).tpot
    with pytest.raises(TwinError, match="dense bf16 or fp16 or fp32"):
        inference.predict("llama-3-8b", Other(H100, flops_dense={"fp8": 1e15}))
    with pytest.raises(TwinError, match="2 sizes"):
        serving.Steps.of(step_costs.of(models.model("llama-3-8b"), H100, tp=[1, 2], parameters=IDEAL))


def test_a_processor_can_be_a_chip_too():
    figures = {"name": "laptop", "memory_bytes": 16e9, "memory_bandwidth_bytes_s": 40e9, "flops_dense": {"fp32": 1e12}}
    laptop = Other(H100, **figures, nvlink_bytes_s_per_direction=None)
    found = {kind: inference.predict("llama-3-8b", laptop, precision=kind, isl=64, osl=64) for kind in ("int8", "int4")}
    assert found["int4"].tpot < found["int8"].tpot
    assert found["int8"].tpot > models.model("llama-3-8b").always * 1.0625 / 40e9
    with pytest.raises(TwinError, match="fits beside it"):
        inference.predict("llama-3-8b", laptop, precision="fp32")


def test_a_closed_loop_simulated_agrees_with_the_closed_form():
    """One request after another: the simulation's gap between tokens is the closed form's, but for the prompt's end."""
    own = step_costs.of(
        models.model("llama-3-70b"), H100, tp=4, precision="fp8", parameters=inference.fitted().parameters
    )
    alone = serving.simulate(Trace.of([0.0, 1000.0], 2000, 1000), serving.Steps.of(own))
    closed = inference.predict("llama-3-70b", H100, tp=4, isl=2000, osl=1000, precision="fp8")
    assert alone.itl == pytest.approx(float(closed.tpot), rel=1e-4)
    assert float(closed.ttft) - alone.ttft[0] == pytest.approx(
        inference.fitted().parameters.first_token_seconds + float(own.step(1, 2500)), rel=1e-9
    )
