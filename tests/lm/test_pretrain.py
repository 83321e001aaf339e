"""A run makes a model that others load, says how good it is, and survives kills, full disks and bad numbers."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM

from aifactory_lab.errors import DataError, DeviceError, ModelError, WorkspaceError
from aifactory_lab.lm import evaluation, flops, pretrain
from aifactory_lab.lm.optimiser import Rates
from aifactory_lab.lm.training_state import FILE as STATE
from aifactory_lab.telemetry import journal, trainings

SMALL = {"depth": 1, "batch": 2, "context": 32, "show": False}
STEP = 2 * 32


@pytest.fixture(autouse=True)
def _briefly(monkeypatch, tmp_path):
    monkeypatch.setattr(flops, "SECONDS", 0.01)
    monkeypatch.setenv("AIFACTORY_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def trained(packed, words, tmp_path_factory) -> pretrain.Result:
    """Fifty thousand tokens: the fast setting (about 5 CPU-seconds)."""
    out = tmp_path_factory.mktemp("trained") / "model"
    return pretrain.run(packed, words, out, depth=2, tokens=50_000, batch=4, context=64, looks=3, show=False)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_the_model_is_transformers_own(trained, packed):
    theirs = AutoModelForCausalLM.from_pretrained(trained.folder)
    ours, ids = trained.checkpoint.model, packed.batch("valid", 0, batch=2, context=64, seed=0)[0]
    with torch.no_grad():
        torch.testing.assert_close(ours(ids), theirs(ids).logits, rtol=1e-4, atol=1e-4)


def test_it_learned_and_the_result_says_how_much(trained, packed):
    losses = trained.history["loss"]
    assert losses[:5].mean() > 6.0
    assert losses[-20:].mean() < 4.6
    assert trained.scores["bits_per_byte"] < trained.baselines["unigram"]
    assert trained.verdict.startswith(f"{trained.scores['bits_per_byte']:.2f} bits per byte: better than")
    for text, prompt in zip(trained.samples, evaluation.PROMPTS, strict=True):
        assert text.startswith(prompt)
        assert len(text) > len(prompt)
    card = trained.checkpoint.card
    assert card["metrics"]["bits_per_byte"] == trained.scores["bits_per_byte"]
    assert card["lineage"]["shards_sha256"] == packed.splits["train"].sha256
    assert pretrain.Result.load(trained.folder) == trained


def test_the_report_counts_tokens_and_their_arithmetic(trained):
    report, details = trained.report, trained.report.details
    assert (report.station, report.unit, report.made) == ("pretrain", "tokens", 50_000 // 256 * 256)
    assert details["parameters"] == trained.checkpoint.model.count
    assert details["dtype"] in flops.DTYPES
    assert (details["threads"], details["resumed_after"], details["afresh"]) == (1, 0, "")
    work = flops.per_token(trained.checkpoint.model.shape) * trained.scores["tokens_per_second"]
    assert trained.scores["mfu"] == pytest.approx(work / details["peak_flops"])
    assert 0 < trained.scores["mfu"] < 1
    history = trained.history
    assert history["step"].to_list() == list(range(1, 196))
    assert history["tokens"][-1] == report.made
    assert history["learning_rate"].max() == Rates().matrices


def test_the_log_tells_it_as_it_went(trained):
    told = trainings.read(trained.folder)
    assert told.state == "finished"
    assert told.facts["parameters"] == trained.checkpoint.model.count
    last = told.steps.row(-1, named=True)
    assert (last["step"], last["tokens"], last["eta"]) == (195, trained.report.made, 0)
    assert last["loss"] == pytest.approx(trained.history["loss"][-1])
    baselines = told.scores.filter(pl.col("step").is_null())
    assert dict(baselines.select("name", "value").rows()) == trained.baselines
    looks = told.scores.filter(pl.col("name") == "bits_per_byte").sort("step")
    assert looks["step"].to_list() == [65, 130, 195]
    assert looks["value"][-1] == trained.scores["bits_per_byte"]
    assert looks["value"][0] > looks["value"][-1]
    assert [sample.step for sample in told.samples] == [65, 130, 195]


def test_the_factory_floor_sees_the_tokens_come(packed, words, tmp_path):
    events = []
    end = journal.listen(events.append)
    pretrain.run(packed, words, tmp_path / "model", tokens=20 * STEP, **SMALL)
    end()
    mine = [event for event in events if event.station == "pretrain"]
    assert [mine[0].kind, mine[-1].kind, mine[-1].made] == ["begin", "end", 20 * STEP]
    assert any(event.kind == "progress" for event in mine)


def test_the_seed_decides(packed, words, tmp_path):
    first, again, other = (
        pretrain.run(packed, words, tmp_path / name, tokens=10 * STEP, seed=seed, **SMALL)
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert weights(first.folder) == weights(again.folder) != weights(other.folder)
    assert first.history.equals(again.history)


def start(packed, words, folder: Path, *, seconds: float = 0.0, more: tuple[str, ...] = ()) -> list[str]:
    """A command line that trains a small model, its state in a folder of its own."""
    words.save(folder / "words")
    asked = {"depth": 1, "batch": 2, "context": 32, "tokens": 60 * STEP, "save-seconds": seconds}
    options = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    places = [str(packed.folder), str(folder / "words"), str(folder / "model"), "--checkpoint", str(folder / "state")]
    return ["aifactory_lab.lm.pretrain", *places, *options, *more]


def test_killed_at_any_moment_it_makes_the_same_weights(packed, words, tmp_path):
    whole = pretrain.run(packed, words, tmp_path / "whole", tokens=60 * STEP, **SMALL)
    command = [sys.executable, "-m", *start(packed, words, tmp_path)]
    log = tmp_path / "state" / "training.jsonl"
    for least in (10, 35):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while child.poll() is None and reached(log) < least:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "it was to be killed before it had finished"
        assert not (tmp_path / "model" / "pretraining.json").exists()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "bits per byte" in done.stdout
    taken_up = pretrain.Result.load(tmp_path / "model")
    resumed = taken_up.report.details["resumed_after"]
    assert 20 <= resumed < 60
    assert taken_up.report.made == (60 - resumed) * STEP
    assert weights(taken_up.folder) == weights(whole.folder)
    assert taken_up.history.equals(whole.history)
    assert trainings.read(taken_up.folder).steps["step"].is_sorted()


def reached(log: Path) -> int:
    """The last step that a log tells of."""
    return trainings.read(log).steps["step"].max() or 0 if log.exists() else 0


def test_another_configuration_starts_afresh_and_says_so(packed, words, tmp_path, caplog):
    usual = {**SMALL, "checkpoint": tmp_path / "state", "tokens": 5 * STEP}
    pretrain.run(packed, words, tmp_path / "model", **usual)
    assert not caplog.messages
    other = pretrain.run(packed, words, tmp_path / "model", **(usual | {"seed": 7}))
    assert "seed was 0, is 7): starting afresh" in caplog.messages[0]
    assert other.report.details["afresh"] == "seed was 0, is 7"
    assert other.report.made == 5 * STEP
    again = pretrain.run(packed, words, tmp_path / "model", **(usual | {"seed": 7}))
    assert (again.report.made, again.report.details["resumed_after"]) == (0, 5)
    assert again.scores["bits_per_byte"] == other.scores["bits_per_byte"]


def test_a_damaged_state_is_as_good_as_none(packed, words, tmp_path):
    usual = {**SMALL, "checkpoint": tmp_path / "state", "tokens": 5 * STEP}
    first = pretrain.run(packed, words, tmp_path / "first", **usual)
    state = tmp_path / "state" / STATE
    state.write_bytes(state.read_bytes()[:2000])
    assert weights(pretrain.run(packed, words, tmp_path / "again", **usual).folder) == weights(first.folder)


def test_without_a_folder_for_it_no_state_is_left(packed, words, tmp_path):
    result = pretrain.run(packed, words, tmp_path / "model", tokens=5 * STEP, **SMALL)
    names = {path.name for path in result.folder.iterdir()}
    assert {"model.safetensors", "card.json", "training.jsonl", "history.parquet", "pretraining.json"} <= names
    assert not any(name.startswith(".") for name in names)


def test_a_full_disk_keeps_the_state_before(packed, words, tmp_path):
    usual = {**SMALL, "checkpoint": tmp_path / "state", "save_seconds": 0.0}
    pretrain.run(packed, words, tmp_path / "model", tokens=5 * STEP, **usual)
    before = (tmp_path / "state" / STATE).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))  # a write past it fails as on a full disk
    try:
        with pytest.raises(WorkspaceError, match=r"step 1 cannot be written.*the state before is still there"):
            pretrain.run(packed, words, tmp_path / "model", tokens=6 * STEP, **usual)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in (tmp_path / "state").glob("*safetensors*")] == [STATE]
    assert (tmp_path / "state" / STATE).read_bytes() == before
    assert trainings.read(tmp_path / "state").state == "failed"


def test_a_loss_that_is_no_number_stops_it_and_keeps_the_state(packed, words, tmp_path):
    usual = {**SMALL, "checkpoint": tmp_path / "state", "save_seconds": 0.0, "tokens": 20 * STEP}
    with pytest.raises(ModelError, match=r"loss is (nan|inf) at step \d+ of 20, .*is kept in") as said:
        pretrain.run(packed, words, tmp_path / "model", rates=Rates(matrices=1e30, rest=1e30), **usual)
    assert said.value.mend == "lm.pretrain.run(…, rates=Rates(matrices=3.3e+29, rest=3.3e+29))"
    assert (tmp_path / "state" / STATE).exists()
    assert not (tmp_path / "model" / "pretraining.json").exists()
    told = trainings.read(tmp_path / "state")
    assert (told.state, "the loss is" in told.reason) == ("failed", True)


def test_two_processes_are_one_with_twice_the_batch(packed, words, tmp_path):
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = [*run, *start(packed, words, tmp_path, more=("--dtype", "float32", "--tokens", str(24 * 2 * STEP)))]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("pretrain: 3,072 tokens") == 1  # one of them speaks
    two = pretrain.Result.load(tmp_path / "model")
    one = pretrain.run(packed, words, tmp_path / "one", tokens=24 * 2 * STEP, dtype="float32", **(SMALL | {"batch": 4}))
    assert two.report.details["processes"] == 2
    assert two.history["tokens"].equals(one.history["tokens"])
    assert (two.history["loss"] - one.history["loss"]).abs().max() < 2e-3
    assert two.scores["bits_per_byte"] == pytest.approx(one.scores["bits_per_byte"], abs=2e-3)


def test_bfloat16_learns_as_float32_does(packed, words, tmp_path):
    scores = [
        pretrain.run(packed, words, tmp_path / dtype, tokens=100 * STEP, dtype=dtype, **SMALL).scores["nats_per_token"]
        for dtype in ("float32", "bfloat16")
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.03)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"tokens": 63}, DataError, "63 tokens are less than one step of 64"),
        ({"context": 1 << 20, "tokens": 1 << 22}, DataError, r"tokens to learn from, a window needs 1,048,577"),
        ({"dtype": "float8"}, ModelError, "cannot train in dtype 'float8'; there are: float32, bfloat16"),
        ({"depth": 99}, ModelError, "no model has depth 99"),
        ({"device": "gpu"}, DeviceError, "a GPU was asked for by argument, but "),
    ],
)
def test_what_cannot_be_done_is_said_at_once(packed, words, tmp_path, options, error, said):
    with pytest.raises(error, match=said) as raised:
        pretrain.run(packed, words, tmp_path / "model", **(SMALL | {"tokens": 10 * STEP} | options))
    assert raised.value.mend
    assert not (tmp_path / "model").exists()


def test_a_foreign_tokenizer_is_refused(packed, words, tmp_path):
    from aifactory_lab.lm import tokenizer

    other = tokenizer.train(["other text " * 50], vocabulary=280)
    with pytest.raises(DataError, match="made by another tokenizer"):
        pretrain.run(packed, other, tmp_path / "model", tokens=10 * STEP, **SMALL)


def test_threads_are_given_back_even_after_an_error(packed, words, tmp_path):
    before = torch.get_num_threads()
    with pytest.raises(DataError):
        pretrain.run(packed, words, tmp_path / "model", threads=before + 1, **(SMALL | {"tokens": 1}))
    assert torch.get_num_threads() == before
