"""The tables that came with the package: what they say, what may be concluded, and how to make them again."""

import polars as pl
import pytest

from aifactory_lab.errors import TwinError
from aifactory_lab.laws import backtest, chinchilla, runs, study, test_time

LARGEST_FITTED = 3e12  # operations: what the sweep holds out costs more


@pytest.fixture(scope="module")
def sweep() -> pl.DataFrame:
    return runs.read(runs.kept("pretraining"))


@pytest.fixture(scope="module")
def tuned() -> pl.DataFrame:
    return runs.table(runs.kept("post_training"))


@pytest.fixture(scope="module")
def answers() -> pl.DataFrame:
    return runs.table(runs.kept("test_time"))


@pytest.mark.parametrize(
    ("name", "part"), [("pretraining", "pretraining"), ("post_training", "answering"), ("test_time", "answering")]
)
def test_every_table_says_where_it_is_from_and_how_to_make_it_again(name, part):
    told = runs.told(runs.kept(name))
    assert f"again: nice python -m aifactory_lab.laws.study {part} FOLDER --dtype bfloat16" in told
    assert "standard library of Python 3.11" in told
    assert "PyTorch 2." in told


def test_the_sweep_is_the_one_that_the_study_asks_for(sweep):
    asked = {(point.depth, point.tokens // 512 * 512, point.seed) for point in [*study.POINTS, *study.HELD_OUT]}
    assert {(d, int(t), s) for d, t, s in sweep.select("depth", "tokens", "seed").rows()} == asked


def test_more_parameters_and_more_tokens_both_help(sweep):
    first = sweep.filter(seed=0)
    for by, over in (("depth", "tokens"), ("tokens", "depth")):
        for _, one in first.group_by(by):
            assert one.sort(over)["loss"].is_sorted(descending=True)


def test_the_held_out_runs_lie_in_the_interval_that_was_forecast(sweep):
    known, larger = runs.below(sweep, LARGEST_FITTED)
    assert known.height == len(study.POINTS)
    assert larger["depth"].to_list() == [point.depth for point in study.HELD_OUT]
    fit = chinchilla.fit(known, replicates=100)
    for parameters, tokens, loss in larger.select("parameters", "tokens", "loss").rows():
        said = fit.predict(parameters, tokens)
        assert said.low < loss < said.high
        assert 0 < said.loss - loss < 0.12, "and they were better than was said: the law bends"
    told = fit.intervals().rows_by_key("constant", named=True, unique=True)
    assert not told["E"]["determined"], "so small a sweep comes nowhere near the floor"
    assert 0.01 < fit.rms < 0.02


def test_a_backtest_says_that_the_sweep_reaches_not_far(sweep):
    found = backtest.errors(sweep, least=18)
    near, far = found.filter(pl.col("beyond") <= 2), found.filter(pl.col("beyond") > 4)
    rms = [float((part["error"] ** 2).mean()) ** 0.5 for part in (near, far)]
    assert rms[0] < 0.12 < rms[1] < 0.3
    assert "further than" in backtest.words(found)


def test_tuning_wins_accuracy_and_forgets_the_old_text(tuned):
    assert tuple(tuned["stage"]) == study.STAGES
    assert tuned["flops"].is_sorted()
    copied = tuned.filter(pl.col("stage").str.starts_with("copied"))
    assert copied["accuracy"].is_sorted()
    last, tried = copied.tail(1), tuned.tail(1)
    assert tried["accuracy"][0] > last["accuracy"][0]
    assert tried["best"][0] < last["best"][0], "what it wins in one answer it loses in variety"
    assert tuned["forgotten"][-1] > 4, "bits per byte: all of it"


def test_more_answers_help_less_and_less_and_guesses_catch_up(answers):
    best = answers.filter(way="best", form="expression")
    tuned, guesses = best.filter(who=study.STAGES[-1]), best.filter(who="guesses")
    gap = tuned["accuracy"].to_numpy() - guesses["accuracy"].to_numpy()
    assert gap[0] > 0.25
    assert gap[-1] < gap[0] / 2
    told = test_time.stop(tuned, guesses, dollars_per_mtoken=0.5, worth=1e-4)
    assert (told.k, told.beaten) == (4, 32)


def test_a_table_that_did_not_come_is_said():
    with pytest.raises(TwinError, match="no table 'moonshine' came"):
        runs.kept("moonshine")
