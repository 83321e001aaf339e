"""A sweep is killed at random moments and sent again: what was finished is never trained a second time."""

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet
from aifactory_lab.laws import sweep
from aifactory_lab.laws.sweep import Point, PointRun, Training, grid
from aifactory_lab.lm import flops, model

# The last one takes the longest, so that the sweep is not over before it is killed.
POINTS = [*grid(depths=(1,), tokens=(1024, 2048, 4096), seeds=(0, 1))[:5], Point(1, 24_576)]
HOW = {"context": 64, "batch": 2, "dtype": "float32"}
DRIVER = f"""
import sys
from aifactory_lab.fleet import Fleet
from aifactory_lab.laws import sweep
from aifactory_lab.laws.sweep import Point
from aifactory_lab.lm import flops, shards, tokenizer
flops.SECONDS = 0.01
out, tokens = sys.argv[1:]
words = tokenizer.Tokenizer.load(out + "/tokenizer")
fleet = Fleet("inline", folder=out + "/fleet")
sweep.run({POINTS!r}, shards.Shards.load(tokens, words), words, out, fleet=fleet, **{HOW!r})
"""


@pytest.fixture(autouse=True)
def _briefly(monkeypatch, tmp_path):
    monkeypatch.setattr(flops, "SECONDS", 0.01)
    monkeypatch.setenv("AIFACTORY_CACHE", str(tmp_path / "cache"))


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """Every finished point, with when its run and its weights were written."""
    found = {path.parent: path for path in out.glob(f"*/{sweep.RUN}")}
    return {
        folder.name: (run.stat().st_mtime_ns, (folder / sweep.MODEL / "model.safetensors").stat().st_mtime_ns)
        for folder, run in found.items()
    }


def killed(out: Path, packed, after: int, pause: float) -> dict[str, tuple[int, int]]:
    """Send the sweep from a process of its own, and kill that some time after so many points have finished."""
    command = [sys.executable, "-c", DRIVER, str(out), str(packed.folder)]
    child = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL)
    patience = time.monotonic() + 240
    while len(finished(out)) < after and child.poll() is None and time.monotonic() < patience:
        time.sleep(0.005)
    time.sleep(pause)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it was to be killed before it had finished"
    return finished(out)


def test_killed_at_random_moments_it_repeats_no_finished_run(packed, words, tmp_path):
    draws = random.Random(time.time_ns())
    words.save(tmp_path / sweep.TOKENIZER)
    first = killed(tmp_path, packed, draws.choice((1, 2)), draws.random() * 0.1)
    second = killed(tmp_path, packed, len(first) + draws.choice((0, 1)), draws.random() * 0.1)
    assert len(first) >= 1
    assert first.items() <= second.items(), "what had finished before the first kill"
    runs = sweep.run(POINTS, packed, words, tmp_path, fleet=Fleet("inline", folder=tmp_path / "fleet"), **HOW)
    last = finished(tmp_path)
    assert second.items() <= last.items(), "what had finished before the second"
    assert set(last) == {point.name for point in POINTS}
    told = sorted((int(tokens), seed) for tokens, seed in runs.select("tokens", "seed").rows())
    assert told == sorted((point.tokens, point.seed) for point in POINTS)


def test_what_a_run_says_is_what_was_trained(packed, words, tmp_path):
    fleet = Fleet("inline", folder=tmp_path / "fleet")
    asked = [Point(1, 1000), Point(1, 1000, seed=1)]
    runs = sweep.run(asked, packed, words, tmp_path, fleet=fleet, **HOW)
    assert runs["tokens"].to_list() == [7 * 128, 7 * 128], "whole steps"
    shape = model.shape(1, words.vocabulary, context=64)
    assert runs["parameters"][0] == model.Llama(shape).count
    assert runs["flops"][0] == 7 * 128 * flops.per_token(shape)
    assert runs["loss"].n_unique() == 2, "the seed counts"
    assert {"seed", "depth", "bits_per_byte", "cpu_seconds", "tokens_per_cpu_second", "mfu"} <= set(runs.columns)
    before = finished(tmp_path)
    other = sweep.run(asked[:1], packed, words, tmp_path, fleet=fleet, **HOW | {"batch": 4})
    assert other["tokens"].to_list() == [3 * 256], "trained otherwise, it is another run"
    assert finished(tmp_path)[asked[0].name] != before[asked[0].name]


def test_two_jobs_of_a_point_wait_for_each_other(packed, words, tmp_path, monkeypatch):
    words.save(tmp_path / sweep.TOKENIZER)
    training = Training(str(packed.folder), str(tmp_path), ("a", "b"), **HOW)
    made, entered, go = [], threading.Event(), threading.Event()

    def slow(self, point, folder):
        made.append(point)
        entered.set()
        assert go.wait(60)
        return {"loss": 1.0}

    monkeypatch.setattr(PointRun, "_train", slow)
    found = []
    jobs = [threading.Thread(target=lambda: found.append(PointRun(training)(POINTS[0]))) for _ in range(2)]
    for job in jobs:
        job.start()
    assert entered.wait(60)
    go.set()
    for job in jobs:
        job.join(60)
    assert made == [POINTS[0]]
    assert found == [{"loss": 1.0}] * 2


def test_what_cannot_be_swept_is_said(packed, words, tmp_path):
    fleet = Fleet("inline", folder=tmp_path / "fleet")
    with pytest.raises(FleetError, match="no points"):
        sweep.run([], packed, words, tmp_path, fleet=fleet)
    with pytest.raises(FleetError, match="no model has depth 99"):
        sweep.run([Point(99, 1024)], packed, words, tmp_path, fleet=fleet, **HOW)
    assert not finished(tmp_path)
