"""A chain of links: resumed runs equal uninterrupted ones, whatever was drawn at random."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from aifactory_lab.train import boosting, estimators
from aifactory_lab.train.table import Table

PARAMS = estimators.xgboost_params("cpu", threads=1, min_child_weight=5)[0]


@pytest.fixture(scope="module")
def matrices(features):
    table = Table.open(features)
    learn, valid = table.rows("learn").take(range(6000)), table.rows("valid")
    first = boosting.quantile_matrix(learn.x, learn.y, threads=1)
    return first, boosting.quantile_matrix(valid.x, valid.y, threads=1, like=first), valid.x


class Cut(BaseException):
    """Stands where the process ends."""


def test_a_run_cut_anywhere_resumes_to_the_same_model(matrices, tmp_path, monkeypatch):
    learn, valid, x = matrices
    whole = boosting.boost(learn, valid, PARAMS, 40, every=10)
    save = boosting._save

    def cut_after(rounds):
        def saving(folder, mark, state):
            save(folder, mark, state)
            if state.rounds == rounds:
                raise Cut

        return saving

    for rounds in (10, 30):
        monkeypatch.setattr(boosting, "_save", cut_after(rounds))
        with pytest.raises(Cut):
            boosting.boost(learn, valid, PARAMS, 40, every=10, checkpoint=tmp_path / str(rounds))
        monkeypatch.setattr(boosting, "_save", save)
        again = boosting.boost(learn, valid, PARAMS, 40, every=10, checkpoint=tmp_path / str(rounds))
        assert again.resumed == rounds
        assert again.losses == whole.losses
        np.testing.assert_array_equal(again.booster.inplace_predict(x), whole.booster.inplace_predict(x))


def test_a_damaged_checkpoint_is_not_believed(matrices, tmp_path):
    learn, valid, _ = matrices
    boosting.boost(learn, valid, PARAMS, 10, every=10, checkpoint=tmp_path)
    (path,) = tmp_path.glob("*.checkpoint")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert boosting.boost(learn, valid, PARAMS, 10, every=10, checkpoint=tmp_path).resumed == 0


@pytest.mark.parametrize("change", [{"params": {**PARAMS, "max_depth": 3}}, {"data": "other rows"}, {"rounds": 30}])
def test_a_checkpoint_of_another_run_is_passed_over(matrices, tmp_path, change):
    learn, valid, _ = matrices
    usual = {"params": PARAMS, "rounds": 20, "data": "rows"}
    boosting.boost(learn, valid, **usual, every=10, checkpoint=tmp_path)
    assert boosting.boost(learn, valid, **(usual | change), every=10, checkpoint=tmp_path).resumed == 0
    assert boosting.boost(learn, valid, **usual, every=10, checkpoint=tmp_path).resumed == 20


def test_early_stopping_keeps_the_best_round(matrices):
    learn, valid, _ = matrices
    greedy = {**PARAMS, "learning_rate": 0.5, "min_child_weight": 0}
    done = boosting.boost(learn, valid, greedy, 200, every=10, patience=10)
    losses = done.losses["valid"]
    assert done.rounds == done.booster.num_boosted_rounds() == int(np.argmin(losses[: done.rounds + 10])) + 1
    assert len(losses) < 200
    assert done.history().columns == ["round", "learn", "valid"]


def test_patience_is_counted_from_the_best_round():
    assert boosting._best([5.0, 4, 3, 3, 3, 3, 1], patience=3) == 3
    assert boosting._best([5.0, 4, 3, 3, 1, 3], patience=3) == 5


KILLED = """
import sys
from aifactory_lab import train
train.fit(sys.argv[1], out=sys.argv[2], checkpoint=sys.argv[3], device="cpu", threads=1, rounds=75, learning_rate=0.01)
"""


def test_kill_nine_then_resume_gives_the_same_predictions(features, tmp_path):
    def start(out, checkpoint):
        return subprocess.Popen([sys.executable, "-c", KILLED, str(features), str(tmp_path / out), str(checkpoint)])

    kept = tmp_path / "kept"
    doomed = start("a", kept)
    while not list(kept.glob("*.checkpoint")):
        assert doomed.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    doomed.send_signal(signal.SIGKILL)
    assert doomed.wait() == -signal.SIGKILL
    assert not (tmp_path / "a" / "result.json").exists()
    assert start("a", kept).wait() == 0
    assert start("b", tmp_path / "fresh").wait() == 0
    from aifactory_lab.train import Result

    resumed, whole = Result.load(tmp_path / "a"), Result.load(tmp_path / "b")
    assert resumed.report.details["resumed_from_round"] >= 25
    assert whole.report.details["resumed_from_round"] == 0
    assert resumed.predicted().equals(whole.predicted())
    assert resumed.bundle.file.read_bytes() == whole.bundle.file.read_bytes()


def test_the_joined_model_gives_the_margins_that_it_was_trained_to(matrices):
    """Links joined into one booster equal the sum of the links, and one link equals plain XGBoost."""
    import xgboost

    learn, valid, x = matrices
    done = boosting.boost(learn, valid, PARAMS, 35, every=10, patience=99)
    assert done.rounds == int(np.argmin(done.losses["valid"])) + 1
    full = boosting.boost(learn, None, PARAMS, 35, every=10).booster
    assert full.num_boosted_rounds() == 35
    log_loss = -np.log(np.where(valid.get_label() > 0, full.inplace_predict(x), 1 - full.inplace_predict(x))).mean()
    assert log_loss == pytest.approx(done.losses["valid"][-1], rel=1e-5)
    seed = PARAMS["seed"] * 1_000_003
    learn.set_base_margin(np.empty(0, np.float32))
    plain = xgboost.train({**PARAMS, "seed": seed}, learn, 10)
    once = boosting.boost(learn, None, PARAMS, 10, every=10).booster
    np.testing.assert_array_equal(once.inplace_predict(x), plain.inplace_predict(x))
