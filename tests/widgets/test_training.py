"""The training board: live while a cell computes, honest about what died, and never a number of its own."""

import threading

import pytest

from aifactory_lab.errors import FactoryError
from aifactory_lab.telemetry.trainings import Step, TrainingLog, TrainingSource
from aifactory_lab.widgets import TrainingBoard
from tests.widgets.conftest import until
from tests.widgets.page import opened

SAMPLE = 'def area(width, <b>height</b>):\n    """Return the area."""\n'


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """A runtime folder of our own: nobody else's trainings."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


def train(log: TrainingLog, first: int, last: int, *, steps: int = 200) -> None:
    for number in range(first, last + 1):
        rates = {"tokens_rate": 8_000.0 + number, "mfu": 33.2, "eta": 20.0}
        log.step(Step(number, steps, 1024 * number, 7.6 - 0.02 * number, 0.01, **rates))
        if number % 50 == 0:
            log.score("bits_per_byte", 3.0 - number / 100, step=number)
            log.sample(f"# step {number}\n{SAMPLE}", step=number)


def begun(folder) -> TrainingLog:
    facts = {"parameters": 1_074_432, "tokens": 204_800, "peak_flops": 1.9e11, "device": "cpu"}
    log = TrainingLog(folder, title="Llama, 4 layers", facts=facts)
    for name, value in (("gzip", 1.92), ("bigram", 1.85)):
        log.score(name, value)
    return log


def told(board) -> dict:
    """The newest that the page was told of the training."""
    return next(m["content"]["training"] for m in reversed(board.comm.published) if "training" in m["content"])


def test_a_board_made_before_the_training_shows_it_while_the_main_thread_computes(tmp_path):
    board = TrainingBoard()
    assert repr(board) == "TrainingBoard(the newest training)"
    board.comm.say(k="hello")
    assert told(board) == {}
    with begun(tmp_path / "run-1") as log:
        train(log, 1, 100)
        until(lambda: told(board).get("step") == 100)
    until(lambda: told(board).get("state") == "finished")
    words = told(board)
    assert words["scores"][0]["values"] == [2.5, 2.0]
    assert words["standing"] == "above gzip 1.92, bigram 1.85"
    assert words["peak"] == "190 GFLOP/s"
    assert len(words["curves"]["tokens"]) == len(words["curves"]["smooth"]) == 100
    board.close()


def test_nothing_is_sent_twice(tmp_path):
    with begun(tmp_path) as log:
        train(log, 1, 100)
        board = TrainingBoard(tmp_path)
        board.comm.say(k="hello")
        until(lambda: len(board.comm.messages("tick")) >= 3)
        assert sum("training" in m for m in board.comm.messages("tick")) == 0
        board.close()


class Result:
    """What a training returns."""

    def __init__(self, folder) -> None:
        self.folder = folder


@pytest.mark.parametrize("kind", [str, lambda f: f, lambda f: f / "training.jsonl", Result, TrainingSource])
def test_a_board_takes_a_folder_a_log_a_result_or_a_source(tmp_path, kind):
    with begun(tmp_path) as log:
        train(log, 1, 10)
    before = threading.active_count()
    board = TrainingBoard(kind(tmp_path))
    assert repr(board) == "TrainingBoard(1 training)"
    board.comm.say(k="hello")
    assert told(board)["state"] == "finished"
    assert board.snapshot().layout.title.text == "Loss: Llama, 4 layers"
    board.close()
    assert threading.active_count() == before


def test_what_is_no_training_is_refused():
    with pytest.raises(FactoryError, match="TrainingBoard cannot show 7"):
        TrainingBoard(7)
    with pytest.raises(FactoryError, match="knows no keyword wheels"):
        TrainingBoard(wheels=4)
    board = TrainingBoard()
    with pytest.raises(FactoryError, match="no training has begun"):
        board.snapshot()
    board.close()


def packets(board) -> list:
    """All that was sent to a page, in order."""
    return [(one["content"], one["buffers"]) for one in board.comm.published]


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(480, "dark"), (1300, "light")])
def test_a_page_shows_the_training_at_any_width_in_both_themes(browser, tmp_path, width, scheme):
    with begun(tmp_path / "run-1") as log:
        train(log, 1, 150)
        board = TrainingBoard(tmp_path / "run-1")
        board.comm.say(k="hello")
        until(lambda: board.comm.messages("tick"))
        with opened(browser, tmp_path, ["training"], width=width, scheme=scheme) as page:
            page.deliver(packets(board))
            assert page.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            words = page.text(".af-training")
            for part in ("at work", "step 150 of 200", "153,600 of 204,800 tokens", "75", "1.5", "8.15", "33.2"):
                assert part in words
            for part in ("below gzip 1.92, bigram 1.85", "of 190 GFLOP/s", "1,074,432"):
                assert part in words
            assert page.tab.locator(".af-training canvas").count() == 5
            assert "<b>height</b>" in page.text(".af-sample")  # as text: nothing parses it
            page.tab.get_by_role("button", name="step 50").click()
            page.painted()
            assert page.text(".af-sample").startswith("# step 50")
            page.tab.get_by_role("button", name="log", exact=True).click()
            page.painted()
            assert page.tab.get_by_role("button", name="log", exact=True).get_attribute("aria-pressed") == "true"
        board.close()


@pytest.mark.browser
def test_a_page_zooms_pauses_and_says_when_nothing_runs(browser, tmp_path):
    with begun(tmp_path / "run-1") as log, opened(browser, tmp_path, ["training"], width=1000) as page:
        page.deliver([({"k": "extras", "absent": [], "training": {}}, [])])
        assert "lm.pretrain.run(shards, tokenizer, out)" in page.text(".af-absent:visible")
        board = TrainingBoard()
        train(log, 1, 60)
        board.comm.say(k="hello")
        until(lambda: board.comm.messages("tick") and told(board).get("step") == 60)
        page.deliver(packets(board))
        assert "step 60 of 200" in page.text(".af-progress")
        page.tab.get_by_role("button", name="Pause").click()
        train(log, 61, 80)
        until(lambda: told(board)["step"] == 80)
        page.deliver(packets(board)[-6:])
        assert "step 60 of 200" in page.text(".af-progress")
        page.tab.get_by_role("button", name="Resume").click()
        page.painted()
        assert "step 80 of 200" in page.text(".af-progress")
        over = page.tab.locator(".u-over").first.bounding_box()
        page.tab.mouse.move(over["x"] + 60, over["y"] + 50)
        assert "tokens" in page.tab.locator(".af-chart-value").first.inner_text()
        page.tab.mouse.down()
        page.tab.mouse.move(over["x"] + 160, over["y"] + 50, steps=4)
        page.tab.mouse.up()
        page.painted()
        page.tab.get_by_role("button", name="Reset zoom").click()
        page.painted()
        assert page.tab.get_by_role("button", name="Reset zoom").is_hidden()
        board.close()
