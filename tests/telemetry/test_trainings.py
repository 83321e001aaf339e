"""The log of a training outlives kills, says what was taken back, and never calls a dead training running."""

import json
import math
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.prometheus.exporter import export
from aifactory_lab.telemetry.prometheus.source import PrometheusSource
from aifactory_lab.telemetry.readings import State
from aifactory_lab.telemetry.sampler import watch
from aifactory_lab.telemetry.sharing.election import runtime_folder
from aifactory_lab.telemetry.trainings import Step, TrainingLog, TrainingSource, account, entries, found, keep, read
from aifactory_lab.telemetry.trainings.training import Follower


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """A runtime folder of our own: nobody else's trainings."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


def step(number: int, *, steps: int = 100, loss: float | None = None, **more) -> Step:
    return Step(number, steps, 1024 * number, 8.0 - number / 50 if loss is None else loss, 0.01, **more)


CHILD = """
import sys, time
from aifactory_lab.telemetry.trainings import Step, TrainingLog
log = TrainingLog(sys.argv[1], title="a child", facts={"parameters": 1_074_432})
for number in range(1, 61):
    log.step(Step(number, 100, 1024 * number, 7.0, 0.01, tokens_rate=9_000.0, mfu=31.0, eta=5.0))
    if number % 20 == 0:
        log.score("bits_per_byte", 3.0 - number / 100, step=number)
        log.sample(f"after {number}", step=number)
print("written", flush=True)
time.sleep(60)
"""


@pytest.fixture
def killed(tmp_path):
    """A log whose process was killed at step 60 of 100, its last line torn."""
    folder = tmp_path / "killed"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"written\n"
    assert read(folder).state == "running"
    assert found.running() == [folder / "training.jsonl"]
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with (folder / "training.jsonl").open("ab") as stream:
        stream.write(b'\n{"k": "step", "step": 61, "st')
    return folder


def test_what_is_written_is_read(tmp_path):
    with TrainingLog(tmp_path, title="small", facts={"depth": 4, "tokens": 4096}) as log:
        log.score("gzip", 1.92)
        log.step(step(1, tokens_rate=8_000.0, mfu=33.5, eta=2.5))
        log.step(step(2))
        log.score("bits_per_byte", 2.9, step=2)
        log.sample("def f():\n    réturn 1", step=2)
    training = read(tmp_path)
    assert (training.title, training.state, training.facts["depth"]) == ("small", "finished", 4)
    assert training.steps.drop("time").rows() == [
        (1, 100, 1024, 7.98, 0.01, 8_000.0, 33.5, 2.5),
        (2, 100, 2048, 7.96, 0.01, None, None, None),
    ]
    assert training.baselines == {"gzip": 1.92}
    assert training.scores.drop("time").rows() == [("bits_per_byte", 2.9, 2, 2048), ("gzip", 1.92, None, None)]
    assert [one.text for one in training.samples] == ["def f():\n    réturn 1"]


def test_a_killed_training_is_dead_and_has_lost_no_step(killed):
    training = read(killed)
    assert training.state == "dead"
    assert "ended without a word at step 60" in training.reason
    assert training.steps["step"].to_list() == list(range(1, 61))
    assert training.scores["step"].to_list() == [20, 40, 60]
    assert found.running() == []
    assert found.newest() == killed / "training.jsonl"


@pytest.mark.parametrize("told", [True, False])
def test_a_resumed_training_replaces_what_it_takes_again(killed, told):
    with TrainingLog(killed, title="resumed", after=50 if told else None) as log:
        for number in range(51, 54):
            log.step(step(number, loss=1.0))
        log.score("bits_per_byte", 1.5, step=53)
    training = read(killed)
    assert training.steps["step"].to_list() == list(range(1, 54))
    assert training.steps["loss"].to_list() == [7.0] * 50 + [1.0] * 3
    assert training.scores.select("step", "value").rows() == [(20, 2.8), (40, 2.6), (53, 1.5)]
    assert [one.step for one in training.samples] == [20, 40]
    assert (training.title, training.state) == ("resumed", "finished")


def test_what_is_judged_before_the_first_step_again_keeps_the_step_it_judges(killed):
    with TrainingLog(killed, title="resumed") as log:
        log.score("bits_per_byte", 2.61, step=40)
        log.step(step(41, loss=1.0))
    training = read(killed)
    assert training.steps["step"].to_list() == list(range(1, 42))
    assert training.scores.select("step", "value").rows() == [(20, 2.8), (40, 2.61)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), min_size=1, max_size=5), st.integers(40, 4_000))
def test_any_row_of_beginnings_is_the_last_word_on_every_step_and_read_in_pieces_the_same(tmp_path_factory, runs, cut):
    path = tmp_path_factory.mktemp("log") / "training.jsonl"
    expected: dict[int, float] = {}
    for number, (after, count) in enumerate(runs):
        with TrainingLog(path, title="t", announced=False) as log:
            expected = {at: loss for at, loss in expected.items() if at <= after}
            for at in range(after + 1, after + 1 + count):
                log.step(step(at, loss=float(number)))
                expected[at] = float(number)
    assert dict(read(path).steps.select("step", "loss").rows()) == expected
    text, piecewise = path.read_bytes(), Follower(path.with_name("grows.jsonl"))
    with piecewise.path.open("wb", buffering=0) as stream:
        for place in range(0, len(text), cut):
            stream.write(text[place : place + cut])
            piecewise.look()
    assert {one.step: one.loss for one in piecewise.steps} == expected


@pytest.mark.parametrize("longer", [1, 60])
def test_a_log_that_is_begun_anew_is_read_anew(tmp_path, longer):
    with TrainingLog(tmp_path, title="old") as log:
        for number in range(1, 20):
            log.step(step(number))
    follower = Follower(tmp_path)
    follower.look()
    log.path.unlink()
    with TrainingLog(tmp_path, title="new") as log:
        for number in range(longer):
            log.step(step(number + 1))
    follower.look()
    assert (follower.begun.title, len(follower.steps)) == ("new", longer)


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [(ValueError("the loss is nan"), "failed", "ValueError: the loss is nan"), (KeyboardInterrupt(), "stopped", "")],
)
def test_a_training_that_breaks_off_says_why(tmp_path, error, state, reason):
    with pytest.raises(type(error)), TrainingLog(tmp_path, title="t"):
        raise error
    training = read(tmp_path)
    assert training.state == state
    assert reason in training.reason
    assert found.running() == []


def test_a_log_that_cannot_be_written_costs_no_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    heard = []
    with TrainingLog(tmp_path / "file" / "run", title="t") as log:
        log.listen(heard.append)
        log.step(step(1))
    assert [type(one).__name__ for one in heard] == ["Step", "End"]
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    monkeypatch.setattr(found, "runtime_folder", lambda *_: runtime_folder(open_to_all))
    with TrainingLog(tmp_path / "run", title="t") as log:
        log.step(step(1))
    assert read(tmp_path / "run").state == "finished"
    keep(tmp_path / "run", tmp_path)
    assert read(tmp_path).state == "finished"
    keep(tmp_path / "nowhere", tmp_path)
    with TrainingSource() as source:
        assert source.sample().layout.entities == ()


def test_what_is_no_log_is_refused(tmp_path):
    with pytest.raises(TelemetryError, match=r"training\.jsonl is no log of a training"):
        read(tmp_path)
    (tmp_path / "training.jsonl").write_bytes(b'\xff\x00{"k": "step"}\n[]\n{"k": "begun"}\n')
    with pytest.raises(TelemetryError, match="is no log"):
        read(tmp_path)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=6))
def test_a_loss_that_is_no_number_is_read_as_such(tmp_path_factory, losses):
    path = tmp_path_factory.mktemp("log")
    with TrainingLog(path, title="t", announced=False) as log:
        for number, loss in enumerate(losses, start=1):
            log.step(step(number, loss=loss))
    follower = Follower(path)
    follower.look()
    expected = [loss if math.isfinite(loss) else math.nan for loss in losses]
    assert np.array_equal([one.loss for one in follower.steps], expected, equal_nan=True)
    json.dumps(account.words(follower), allow_nan=False)  # what goes to a page is JSON


def test_the_newest_training_is_found_and_the_last_one_remembered(tmp_path):
    assert found.newest() is None
    with TrainingLog(tmp_path / "a", title="a"):
        with TrainingLog(tmp_path / "b", title="b"):
            assert found.newest() == tmp_path / "b" / "training.jsonl"
        assert found.newest() == tmp_path / "a" / "training.jsonl", "one that runs comes before one that has ended"
    assert found.running() == []
    assert found.newest() == tmp_path / "b" / "training.jsonl"
    (tmp_path / "b").rename(tmp_path / "kept")
    assert read(found.newest()).title == "a", "a copy of the last that ended"
    found.remember(tmp_path / "kept" / "training.jsonl")
    assert found.newest() == tmp_path / "kept" / "training.jsonl"


def test_a_source_follows_a_training_from_before_it_begins_to_its_end(tmp_path):
    with TrainingSource() as source:
        assert source.sample().layout.entities == ()
        with TrainingLog(tmp_path / "run-1", title="d4", facts={"peak_flops": 1.9e11, "depth": 4}) as log:
            log.step(step(25, tokens_rate=8_000.0, mfu=33.0, eta=9.0))
            log.score("bits_per_byte", 2.5, step=25)
            snapshot = source.sample()
            (entity,) = snapshot.layout.entities
            assert (entity.kind, entity.name, entity.path[-1]) == ("training", "d4", "run-1")
            said = {name: str(snapshot.reading(entity.id, name)) for name in snapshot.layout.metrics}
            assert said["loss"] == "7.5"
            assert said["bits_per_byte"] == "2.5"
            assert said["progress"] == "25 %"
            assert said["mfu"] == "33 %"
            assert source.facts()[entity.id].details["peak FLOP/s"] == "190 GFLOP/s"
            assert source.words()["scores"][0]["label"] == "held-out bits per byte"
            log.step(step(26))
            assert source.sample().layout is snapshot.layout, "nothing new: the sampler keeps its ring"
        snapshot = source.sample()
        assert snapshot.reading(entity.id, "loss").state == State.VALUE
        assert snapshot.reading(entity.id, "tokens_rate").state == State.UNSUPPORTED
        assert source.words()["state"] == "finished"


def test_a_source_shows_a_dead_training_as_lost(killed):
    with TrainingSource(killed) as source:
        snapshot = source.sample()
    assert set(snapshot.states.ravel()) == {State.LOST}
    assert "ended without a word at step 60" in snapshot.notes[0]


def test_a_source_shows_a_silent_training_as_stale(tmp_path):
    with TrainingLog(tmp_path, title="t") as log, TrainingSource(tmp_path) as source:
        log.step(step(1))
        assert State.VALUE in source.sample().states
        source.log.heard -= 3_600
        snapshot = source.sample()
        assert set(snapshot.states.ravel()) == {State.STALE}
        assert "said nothing for 36" in snapshot.notes[0]


def test_a_source_says_when_the_log_is_gone_and_follows_it_to_where_it_was_kept(tmp_path):
    (tmp_path / "kept").mkdir()
    with TrainingSource() as source, TrainingSource(tmp_path / "scratch") as given:
        with TrainingLog(tmp_path / "scratch", title="t") as log:
            log.step(step(1))
            for one in (source, given):
                one.sample()
        keep(tmp_path / "scratch", tmp_path / "kept")
        log.path.unlink()
        source.sample()
        assert (source.words()["state"], source.words()["step"]) == ("finished", 1)
        snapshot = given.sample()
        assert "is gone" in snapshot.notes[0]
        assert set(snapshot.states.ravel()) == {State.LOST}


def test_a_training_that_ended_and_was_cleared_away_between_two_looks_is_seen_to_its_end(tmp_path):
    with TrainingSource() as source:
        with TrainingLog(tmp_path / "run-7", title="t") as log:
            log.step(step(1))
            source.sample()
            log.step(step(2))
            log.score("bits_per_byte", 1.7, step=2)
        log.path.unlink()
        snapshot = source.sample()
        assert (source.words()["state"], source.words()["step"]) == ("finished", 2)
        assert source.words()["scores"][0]["values"] == [1.7]
        assert [entity.path[-1] for entity in snapshot.layout.entities] == ["run-7"]


def test_a_slow_training_is_not_called_silent(tmp_path):
    with TrainingLog(tmp_path, title="t", announced=False) as log:
        log.step(Step(1, 10, 1024, 7.0, 0.01, time=time.time() - 1_100))
        log.step(Step(2, 10, 2048, 7.0, 0.01, time=time.time() - 100))
    follower = Follower(tmp_path)
    follower.look()
    follower.heard = time.time() - 100
    assert follower.stale() == 0.0


def test_a_training_of_another_machine_is_not_judged_by_our_processes(tmp_path):
    path = tmp_path / "training.jsonl"
    begun = entries.Begun("elsewhere", pid=1, host="node-7", time=0.0)
    path.write_bytes(entries.write(begun) + b"\n")
    assert read(path).state == "running"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(0.5, 50))
def test_the_smoothed_loss_is_the_weighted_mean_of_what_came_so_far(values, half):
    weights = 0.5 ** (np.arange(len(values)) / half)
    expected = [np.average(values[: n + 1], weights=weights[: n + 1][::-1]) for n in range(len(values))]
    assert account.smoothed(values, half) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_smoothing_passes_over_what_is_no_number():
    assert account.smoothed([math.nan, 4.0, math.inf, 4.0], 2.0).tolist()[1:] == [4.0, 4.0, 4.0]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 3_000), st.integers(2, 400))
def test_thinning_keeps_the_ends_and_the_order(count, most):
    kept = account.thinned(np.arange(count), most)
    assert len(kept) == min(count, most)
    assert (np.diff(kept) > 0).all()
    if count:
        assert (kept[0], kept[-1]) == (0, count - 1)


def test_a_training_is_told_to_prometheus_and_read_back_from_there(tmp_path):
    with TrainingLog(tmp_path / "run-7", title="d4", announced=False) as log:
        log.step(step(25, tokens_rate=8_000.0, mfu=33.0, eta=9.0))
        with (
            watch(TrainingSource(tmp_path / "run-7")) as sampler,
            export(port=0, samplers=[sampler]) as exporter,
            PrometheusSource(exporter.url) as there,
        ):
            expected = sampler.first()
            (entity,) = [entity for entity in there.sample().layout.entities if entity.kind == "training"]
            told = {name: there.sample().reading(entity.id, name).value for name in ("loss", "mfu", "learning_rate")}
    assert (entity.path[-1], entity.name) == ("run-7", "d4")
    here = expected.layout.entities[0].id
    assert told == pytest.approx({name: expected.reading(here, name).value for name in told})
