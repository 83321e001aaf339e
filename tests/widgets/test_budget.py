"""The budget board: what is dragged is looked up in the law, drawn and priced; what cannot be is said in place."""

import asyncio
import json
from functools import cache

import pytest

from aifactory_lab import widgets
from aifactory_lab.errors import TwinError
from aifactory_lab.laws import backtest, chinchilla, runs
from aifactory_lab.laws.law import EPOCH
from aifactory_lab.laws.plan import plan
from aifactory_lab.twin.plant import Plant
from aifactory_lab.widgets import budget as room
from aifactory_lab.widgets import gathered
from aifactory_lab.widgets.budget import BudgetBoard

KEPT = runs.read(runs.kept("pretraining"))

FEW = KEPT.filter((KEPT["depth"] < 4) & (KEPT["tokens"] < 3e5) & (KEPT["seed"] == 0))
errors = backtest.errors


@cache
def _errors(height):
    return errors(next(table for table in (FEW, runs.below(KEPT, 3e12)[0]) if table.height == height))


@pytest.fixture(scope="module")
def fit():
    smaller, _ = runs.below(KEPT, 3e12)
    return chinchilla.fit(smaller, replicates=20)


@pytest.fixture(autouse=True)
def tested_once(monkeypatch):
    """A backtest takes a second: that of the same runs is made once."""
    monkeypatch.setattr(room.backtest, "errors", lambda table: _errors(table.height))


@pytest.fixture
def board(fit):
    made = BudgetBoard(fit, KEPT)
    yield made
    made.close()


def ask(board, **values):
    for name, value in values.items():
        board.form.fields[name].value = value
    return board


def traces(board):
    return {trace["name"]: trace for trace in json.loads(board.plot.figure)["data"]}


def test_it_is_a_board_of_the_house():
    assert widgets.BudgetBoard is BudgetBoard


def test_the_optimum_moves_with_the_budget(board, fit):
    stays = [name for name in traces(board) if name.endswith("FLOP") and "chosen" not in name]
    assert stays
    for flops in (1e11, 2e12, 1e15):
        ask(board, flops=flops)
        best = fit.law.optimum(flops)
        assert (board.optimum.parameters, board.optimum.loss) == (best.parameters, best.loss)
        drawn = traces(board)
        assert drawn["its optimum"]["x"] == [pytest.approx(best.parameters)]
        assert set(stays) < set(drawn), "the curves beside it stay where they are"
        assert f">{float(best.loss):.3f}<" in board.tiles.value


def test_the_interval_is_that_of_the_fit(board, fit):
    best = fit.law.optimum(2e12)
    told = fit.predict(float(best.parameters), float(best.tokens))
    ask(board, flops=2e12)
    assert board.forecast == told
    assert f"90%: {told.low:.3f} – {told.high:.3f}" in board.tiles.value


def test_runs_that_cost_as_much_are_drawn_with_those_that_the_fit_never_saw(board, fit):
    largest = KEPT.sort("flops").row(-1, named=True)
    flops = 6 * largest["parameters"] * largest["tokens"]
    assert largest["loss"] not in fit.runs["loss"].to_list()
    dots = [trace for trace in json.loads(ask(board, flops=flops).plot.figure)["data"] if trace["mode"] == "markers"]
    assert any(largest["loss"] in trace["y"] for trace in dots if trace["name"] != "its optimum")


def test_how_far_the_sweep_vouches_is_said(board):
    assert "within the runs of the fit" in ask(board, flops=2e11).words.value
    assert "nothing was tested" not in board.words.value
    words = ask(board, flops=1e15).words.value
    assert "further than they can vouch for" in words
    assert "nothing was tested" in words
    assert "times below runs whose parameters" in ask(board, flops=1e11).words.value


def test_the_price_is_that_of_the_plan_on_the_chosen_plant(board):
    ask(board, flops=1e14, chassis="gb200-nvl72", gpus=100.0, mfu=30)
    plant = Plant(gpus=144, chassis="gb200-nvl72")
    told = plan(float(board.optimum.loss), plant, law=board.fit, mfu=0.3, vocabulary=1024)
    assert board.plan.gpu_hours == told.gpu_hours
    assert board.plan.dollars == told.dollars
    assert "144 GPUs in gb200-nvl72" in board.price.value


def test_a_model_too_small_for_its_vocabulary_is_said_in_place_and_the_curve_goes_on(board):
    ask(board, flops=3e10)
    assert board.plan is None
    assert board.price.value == ""
    assert "no Llama of 1,024 tokens" in board.message.value
    assert 'role="alert"' in board.message.value
    assert "its optimum" in traces(board)
    assert ask(board, flops=1e13).plan is not None
    assert board.message.value == ""


def test_a_published_law_has_a_slider_of_its_own_and_no_runs(board):
    ask(board, flops=3e11, law="Epoch AI 2024")
    seen = {name: slider.layout.display for name, slider in board.form.budgets.items()}
    assert seen == {"flops": "none", "published_flops": None}
    assert board.law is EPOCH
    assert board.form.flops == 1e24
    assert board.forecast is None
    assert "90%" not in board.tiles.value, "only the constants are known"
    assert "its own text, vocabulary and recipe" in board.words.value
    assert board.plan.model.vocabulary == 32_000
    assert board.plan.flops == pytest.approx(1e24, rel=1e-6)
    assert ask(board, published_flops=1e26).optimum.flops == 1e26
    ask(board, law="fitted to the sweep")
    assert board.form.flops == 3e11
    assert board.forecast is not None


def test_moves_are_gathered_while_the_page_is_dragged(board, monkeypatch):
    drawn = []
    isoflop = room.figures.laws.isoflop
    monkeypatch.setattr(room.figures.laws, "isoflop", lambda *a, **k: drawn.append(k["chosen"]) or isoflop(*a, **k))

    async def drag():
        for step in range(50):
            board.form.fields["flops"].value = 1e12 * 1.01**step
        await asyncio.sleep(5 * gathered.PAUSE)

    asyncio.run(drag())
    assert drawn == [board.form.flops]


def test_a_board_that_cannot_begin_says_what_its_runs_lack():
    with pytest.raises(TwinError, match="do not determine five constants"):
        BudgetBoard(runs=KEPT.head(4))


def test_a_sweep_too_small_for_a_backtest_says_so_where_it_is_asked_how_good_it_is():
    board = BudgetBoard(chinchilla.fit(FEW, replicates=5))
    board.form.fields["flops"].value = 1e15
    assert "leave nothing to test" in board.words.value
    board.close()
