"""Training planned: against Llama 3's published run, against failures thrown at random, and lawful in between."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import hardware, models, training

MTBF = 3.09 * 3600
seconds = st.floats(1.0, 1e4)


def test_llama_3s_run_is_as_published():
    run = training.plan("llama-3-405b", "h100-sxm", gpus=16_384, tokens=15.6e12, mfu=0.40)
    assert run.flops == pytest.approx(3.8e25, rel=0.01)
    assert run.compute_days == pytest.approx(67.7, rel=0.01)
    assert run.mtbf_hours == pytest.approx(3.09, abs=0.01)
    assert run.failures / run.days == pytest.approx(419 / 54, rel=1e-9)


@pytest.mark.parametrize(("checkpoint", "restart", "share"), [(30, 0, 0.927), (60, 0, 0.896), (30, 600, 0.873)])
def test_the_share_lost_is_what_the_first_order_says(checkpoint, restart, share):
    interval = training.young_seconds(checkpoint_seconds=checkpoint, mtbf_seconds=MTBF)
    found = training.effective_share(
        interval_seconds=interval, checkpoint_seconds=checkpoint, restart_seconds=restart, mtbf_seconds=MTBF
    )
    assert found == pytest.approx(share, abs=0.01)


def test_the_share_is_that_of_failures_thrown_at_random():
    """Play 40,000 segments: work, checkpoint, failures at a constant rate, restarts that may fail as well."""
    seed = np.random.default_rng(11)
    work, write, restart, mtbf = 800.0, 60.0, 400.0, 3000.0
    spent = 0.0
    for _ in range(40_000):
        while (failure := seed.exponential(mtbf)) < work + write:
            spent += failure
            while (again := seed.exponential(mtbf)) < restart:
                spent += again
            spent += restart
        spent += work + write
    found = training.effective_share(
        interval_seconds=work, checkpoint_seconds=write, restart_seconds=restart, mtbf_seconds=mtbf
    )
    assert found == pytest.approx(40_000 * work / spent, rel=0.01)


@given(checkpoint=st.floats(1.0, 120.0), mtbf=st.floats(3600.0, 1e6), factor=st.sampled_from([0.3, 0.5, 2.0, 3.0]))
def test_youngs_interval_is_near_the_best(checkpoint, mtbf, factor):
    best = training.young_seconds(checkpoint_seconds=checkpoint, mtbf_seconds=mtbf)
    at, off = (
        training.effective_share(
            interval_seconds=interval, checkpoint_seconds=checkpoint, restart_seconds=60, mtbf_seconds=mtbf
        )
        for interval in (best, factor * best)
    )
    assert at > off


@given(interval=seconds, checkpoint=seconds, restart=seconds, mtbf=st.floats(100.0, 1e7), more=st.floats(1.01, 10.0))
def test_more_reliable_is_never_less_effective(interval, checkpoint, restart, mtbf, more):
    times = {"interval_seconds": interval, "checkpoint_seconds": checkpoint, "restart_seconds": restart}
    found = training.effective_share(**times, mtbf_seconds=mtbf)
    better = training.effective_share(**times, mtbf_seconds=mtbf * more)
    never = training.effective_share(**times, mtbf_seconds=float("inf"))
    assert 0 <= found <= better <= never < 1


def test_more_gpus_fail_more_often_and_are_done_sooner():
    runs = [training.plan("llama-3-70b", "h100-sxm", gpus=n, tokens=15e12, mfu=0.4) for n in (1024, 4096, 16_384)]
    assert [run.days for run in runs] == sorted((run.days for run in runs), reverse=True)
    assert [run.mtbf_hours for run in runs] == sorted((run.mtbf_hours for run in runs), reverse=True)
    assert [run.gpu_hours for run in runs] == sorted(run.gpu_hours for run in runs)


def test_what_never_ends_is_infinite():
    run = training.plan(
        "llama-3-70b", "h100-sxm", gpus=16_384, tokens=1e9, mfu=0.4, restart_seconds=1e9, gpu_mtbf_hours=1.0
    )
    assert run.effective == 0
    assert run.days == float("inf")


def test_mfu_is_the_token_lines():
    flops = pytest.importorskip("aifactory_lab.lm.flops")
    lm = pytest.importorskip("aifactory_lab.lm.model")
    shape, h100 = lm.shape(4, 2048), hardware.gpu("h100-sxm")
    ours = training.mfu(models.dial(4), h100, tokens_per_second_per_gpu=1e6, context=shape.context)
    assert ours == pytest.approx(flops.mfu(shape, tokens_per_second=1e6, peak=h100.flops_dense["bf16"]), rel=1e-12)


def test_a_checkpoint_takes_its_bytes():
    found = training.checkpoint_seconds(models.model("llama-3-405b"), storage_bytes_s=2e12)  # Llama 3's storage
    assert found == pytest.approx(2.84, abs=0.01)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"gpus": 0}, "gpus=0"),
        ({"tokens": -1.0}, r"tokens=-1\.0"),
        ({"mfu": 1.2}, r"mfu=1\.2"),
        ({"mfu": float("nan")}, "mfu=nan"),
        ({"gpu_mtbf_hours": 0}, "gpu_mtbf_hours=0"),
        ({"checkpoint_seconds": -3}, "checkpoint_seconds=-3"),
        ({"restart_seconds": -3}, "restart_seconds=-3"),
        ({"interval_seconds": -3}, "interval_seconds=-3"),
    ],
)
def test_what_cannot_be_is_refused_by_its_value(change, word):
    settings = {"gpus": 8, "tokens": 1e9, "mfu": 0.4} | change
    with pytest.raises(TwinError, match=word) as refused:
        training.plan("llama-3-8b", "h100-sxm", **settings)
    assert refused.value.mend
