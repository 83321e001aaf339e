"""A search as jobs of a fleet: exactly as many trials as asked for, the same again, whatever is killed."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import optuna
import polars as pl
import pytest

from aifactory_lab import train
from aifactory_lab.errors import FleetError, ModelError
from aifactory_lab.fleet import Fleet
from aifactory_lab.train import estimators, tuning
from aifactory_lab.train.table import Table
from aifactory_lab.train.tuning import trial as trials
from aifactory_lab.train.tuning.plan import Plan
from aifactory_lab.train.tuning.trial import TrialRun
from tests.fleet import patience
from tests.train.conftest import write_features

PATIENT = 180.0
until = partial(patience.until, seconds=PATIENT, pause=0.02)
QUICK = {"rounds": 100, "device": "cpu"}
SPACE = {
    "learning_rate": optuna.distributions.FloatDistribution(0.05, 0.5, log=True),
    "max_depth": optuna.distributions.IntDistribution(2, 5),
}


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """About 5,000 flights: a trial takes a blink."""
    return write_features(tmp_path_factory.mktemp("few"), every=60)


@pytest.fixture(scope="module")
def found(few, tmp_path_factory):
    """A search by inline jobs, one after the other."""
    folder = tmp_path_factory.mktemp("search")
    return train.search(few, out=folder, space=SPACE, trials=12, fleet=Fleet("inline", folder=folder), **QUICK)


def small(few: Path, folder: Path, **options) -> Plan:
    fixed = {"threads": 1, "rounds": 25}
    return Plan(str(few), "xgboost", SPACE, fixed, folder / "a.journal", device="cpu", **options)


def counted(table: pl.DataFrame) -> int:
    return table.filter(pl.col("state").is_in(["finished", "pruned"])).height


def test_as_many_trials_finish_as_were_asked_for_and_the_worse_ones_early(found):
    assert found.trials.height == counted(found.trials) == 12
    pruned = found.trials.filter(pl.col("state") == "pruned")
    assert 0 < pruned.height < 12
    assert pruned["rounds"].max() <= 100
    assert set(pruned["rounds"]) <= {50, 75, 100}
    assert found.trials["job"].n_unique() == 12
    finished = found.trials.filter(pl.col("state") == "finished")
    assert found.value == finished["value"].max()
    best = finished.row(int(finished["value"].arg_max()), named=True)
    assert {name: best[name] for name in SPACE} == {name: found.params[name] for name in SPACE}


def test_the_winner_is_an_ordinary_training_with_the_very_score_that_won(few, found):
    assert found.result.bundle.metrics["valid"]["auc"] == found.value
    sized = estimators.sized("xgboost", Table.open(few).count("learn"), found.params)
    assert found.result.bundle.lineage["params"] == estimators.house("xgboost", **sized)
    assert found.result.bundle.lineage["search"]["trials"] == 12
    assert found.result.scores["auc"].value > 0.55
    again = train.Result.load(found.result.folder)
    assert again.scores == found.result.scores


def test_trials_tell_how_they_went_round_by_round(found):
    last = found.progress.group_by("number").agg(pl.col("round").max(), pl.col("auc").last()).sort("number")
    assert last.height == 12
    assert found.progress["auc"].is_between(0.4, 1).all()
    assert set(found.progress["round"]) <= {25, 50, 75, 100}
    history = found.history()
    assert history["best"].to_list()[-1] == found.value
    assert history["best"].drop_nulls().is_sorted()


def test_the_same_seed_finds_the_same_and_another_does_not(few, found, tmp_path):
    def first(seed: int) -> pl.DataFrame:
        out = tmp_path / str(seed)
        return train.search(
            few, out=out, space=SPACE, trials=3, seed=seed, fleet=Fleet("inline", folder=out), **QUICK
        ).trials

    columns = ["number", "state", "value", *SPACE]
    assert first(0).select(columns).equals(found.trials.head(3).select(columns))
    assert not first(1).select(columns).equals(found.trials.head(3).select(columns))


def test_a_search_goes_on_where_it_was_and_a_finished_one_runs_nothing(few, tmp_path):
    fleet = Fleet("inline", folder=tmp_path)
    say = {"out": tmp_path / "out", "space": SPACE, "fleet": fleet, **QUICK}
    train.search(few, trials=2, **say)
    before = fleet.jobs().height
    again = train.search(few, trials=2, **say)
    assert fleet.jobs().height == before
    more = train.search(few, trials=4, **say)
    assert more.trials.head(2).equals(again.trials)
    assert counted(more.trials) == 4
    other = train.search(few, trials=1, **say | {"rounds": 50})
    assert other.trials.height == 1, "another search in the same journal does not mix with it"


@pytest.mark.parametrize("model", ["random_forest", "logistic_regression"])
def test_other_models_are_searched_in_their_own_space(few, tmp_path, model):
    fixed = {"n_estimators": 10} if model == "random_forest" else {}
    space = {name: values for name, values in tuning.space.of(model).items() if name not in fixed}
    fleet = Fleet("inline", folder=tmp_path)
    found = train.search(
        few, out=tmp_path, model=model, space=space, trials=2, pruner="none", fleet=fleet, device="cpu", **fixed
    )
    assert found.trials["state"].to_list() == ["finished", "finished"]
    assert found.progress.is_empty()
    assert found.result.bundle.metrics["valid"]["auc"] == found.value


@pytest.mark.parametrize("name", estimators.names("classify"))
def test_the_houses_spaces_are_of_parameters_that_both_devices_have(name):
    space = tuning.space.of(name)
    tuning.space.check(name, space, {})
    for kind in ("cpu", "gpu"):
        twin = getattr(estimators.TABLE[name], kind)
        assert all(twin.words.get(word, word) for word in space)
        assert not set(space) & set(twin.fixed)


@pytest.mark.parametrize(
    ("say", "error", "says"),
    [
        ({"model": "kmeans"}, ModelError, "'kmeans' cannot be searched"),
        ({"space": {}}, ModelError, "an empty space"),
        ({"space": {"depth": SPACE["max_depth"]}}, ModelError, "xgboost has no parameter 'depth'"),
        ({"space": {"max_depth": (2, 5)}}, ModelError, "not a distribution of optuna's"),
        ({"max_depth": 4}, ModelError, "max_depth is fixed to 4"),
        ({"pruner": "best"}, ModelError, "no pruner 'best'; there are: median"),
        ({"trials": 0}, FleetError, "trials and at_most must be 1 or more"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_a_job_is_sent(few, tmp_path, say, error, says):
    fleet = Fleet("inline", folder=tmp_path)
    with pytest.raises(error, match=says):
        train.search(few, out=tmp_path, fleet=fleet, **{"space": SPACE, **say})
    assert fleet.jobs().is_empty()


def test_a_trial_that_raises_ends_the_search_with_its_traceback(few, tmp_path):
    fleet = Fleet("inline", folder=tmp_path)
    with pytest.raises(FleetError, match="subsample"):
        train.search(few, out=tmp_path, space=SPACE, trials=3, fleet=fleet, subsample=-1.0, **QUICK)


def test_jobs_that_are_too_many_give_their_trials_back(few, tmp_path):
    """Whatever sends too many jobs, for example a search that was killed and its successor."""
    plan = Plan(
        str(few), "xgboost", SPACE, {"threads": 1, "rounds": 25}, tmp_path / "a.journal", trials=3, device="cpu"
    )
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(TrialRun(plan), range(8)))
    assert sorted(said) == ["finished"] * 3 + ["surplus"] * 5
    study = plan.study()
    assert len(trials.finished(study)) == 3
    assert tuning.outcome.trials(study).height == 3


def test_a_killed_trial_is_asked_again_by_the_same_job(few, tmp_path, monkeypatch):
    plan = Plan(
        str(few), "xgboost", SPACE, {"threads": 1, "rounds": 25}, tmp_path / "a.journal", trials=2, device="cpu"
    )
    monkeypatch.setattr(trials, "job_id", lambda: "7")
    study = plan.study()
    killed = study.ask(SPACE)
    killed.set_user_attr(trials.JOB, "7")
    assert TrialRun(plan)(1) == "finished"
    told = tuning.outcome.trials(plan.study())
    assert told["state"].to_list() == ["failed", "finished"]
    assert told["max_depth"].n_unique() == told["learning_rate"].n_unique() == 1


@pytest.fixture
def workstation(tmp_path):
    fleet = Fleet("workstation", folder=tmp_path, gpus=2)
    yield fleet
    for job_id in fleet.jobs()["id"]:
        fleet.attach(job_id).cancel()
    fleet.engine.stop()


def test_a_killed_job_and_a_killed_search_cost_no_finished_trial(few, tmp_path, workstation):
    """Real processes on the workstation: kill -9 one in the middle of its trial, then whoever sent it."""
    say = {"out": tmp_path / "out", "trials": 5, "at_most": 2, "order": {"gpus": 1}, **QUICK, "rounds": 3000}
    code = f"""
from pathlib import PosixPath
from aifactory_lab import train
from aifactory_lab.fleet import Fleet
from tests.train.test_search import SPACE
fleet = Fleet("workstation", folder={str(tmp_path)!r}, gpus=2)
train.search({str(few)!r}, space=SPACE, fleet=fleet, **{say!r})
"""
    driver = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2], start_new_session=True)
    try:
        plan = _plan_of(few, say)
        until(plan.storage.exists, "the search does not begin")
        study = plan.study()
        victim = until(lambda: _running_job(study, workstation), "no trial runs")
        os.kill(victim.attempts[-1]["pid"], signal.SIGKILL)
        until(lambda: len(trials.finished(study)) >= 2, "no trial finishes")
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    kept = tuning.outcome.trials(study).filter(pl.col("state").is_in(["finished", "pruned"]))
    found = train.search(few, space=SPACE, fleet=workstation, **say)
    assert counted(found.trials) == 5
    assert kept.rows() == found.trials.filter(pl.col("number").is_in(kept["number"])).rows()
    (failed,) = found.trials.filter(pl.col("job") == victim.id, state="failed").rows(named=True)
    same = [pl.col(name) == failed[name] for name in SPACE]
    assert found.trials.filter(pl.col("state") != "failed", *same).height == 1
    workstation.wait([workstation.attach(job_id) for job_id in workstation.jobs()["id"]], PATIENT)
    assert len(trials.finished(study)) == 5, "jobs that were left over take no more"


def test_a_preempted_trial_goes_on_from_its_last_rounds(few, tmp_path, workstation):
    slow = {"learning_rate": optuna.distributions.FloatDistribution(0.003, 0.006)}
    options = {"device": "cpu", "checkpoints": tmp_path / "checkpoints"}
    plan = Plan(str(few), "xgboost", slow, {"threads": 1, "rounds": 1500}, tmp_path / "journal", 1, **options)
    job = workstation.submit(TrialRun(plan), 0, gpus=1)
    study = plan.study()
    until(lambda: [one for one in trials.running(study) if one.intermediate_values], "no round is told")
    os.kill(job.attempts[-1]["pid"], signal.SIGUSR2)
    assert job.result(PATIENT) == "finished"
    assert len(job.attempts) == 2
    failed, finished = tuning.outcome.trials(study).rows(named=True)
    assert (failed["state"], finished["state"]) == ("failed", "finished")
    assert failed["learning_rate"] == finished["learning_rate"]
    rounds = tuning.outcome.progress(study).group_by("number").agg(pl.col("round").min(), last=pl.col("round").max())
    before, after = rounds.sort("number").rows(named=True)
    assert after["round"] > before["last"]


def _plan_of(features: Path, say: dict) -> Plan:
    fixed = {"threads": 1, "rounds": say["rounds"]}
    options = {"device": "cpu", "checkpoints": say["out"] / "checkpoints"}
    return Plan(str(features), "xgboost", SPACE, fixed, say["out"] / "trials.journal", say["trials"], **options)


def _running_job(study, fleet):
    for one in trials.running(study):
        if one.params and (job := one.user_attrs.get(trials.JOB)):
            return fleet.attach(job)
    return None
