"""The training board in real JupyterLab while a real training computes, and as a page of real voila."""

import re

import nbformat
import pytest
from nbformat.reader import NotJSONError

from aifactory_lab import dash
from aifactory_lab.telemetry.trainings import Step, TrainingLog
from tests.telemetry.scripted import wait_for
from tests.widgets.servers import browser, free_port, jupyter_lab, notebook, says, server
from tests.widgets.test_jupyterlab import run_cell

pytestmark = pytest.mark.browser
INDICATOR = ".jp-Notebook-ExecutionIndicator"
CELLS = (
    "from aifactory_lab import widgets\nwidgets.TrainingBoard()",
    """
import polars as pl
from aifactory_lab.lm import pretrain, shards, tokenizer
text = "".join(f"def f{n}(x):\\n    return x + {n}\\n" for n in range(4_000))
texts = pl.DataFrame({"split": ["train", "valid"], "text": [text, text[:4_000]]})
words = tokenizer.train(texts["text"], vocabulary=300)
tokens = shards.write(texts, words, "tokens")
result = pretrain.run(tokens, words, "model", depth=2, tokens=60_000, batch=4, context=64, title="a small one")
""",
)


def test_a_training_is_seen_while_its_cell_computes(tmp_path, chromium):
    notebook(tmp_path / "training.ipynb", *CELLS)
    address, running = jupyter_lab(tmp_path, {"XDG_RUNTIME_DIR": str(tmp_path)})
    with running, browser(chromium, viewport={"width": 1200, "height": 1000}) as page:
        page.goto(f"{address}/lab/tree/training.ipynb")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        run_cell(page, 0)
        says(page, "No training runs on this machine yet")
        run_cell(page, 1)
        says(page, r"at work[\s\S]*step [1-9]\d* of 234", seconds=120)
        assert page.locator(INDICATOR).get_attribute("data-status") == "busy", "the cell still computes"
        says(page, r"finished[\s\S]*step 234 of 234 · 59,904 of 59,904 tokens", seconds=120)
        words = page.locator(".af-board").inner_text()
        assert re.search(r"bits per byte\s+0\.\d+\s+below unigram", words)
        assert "GFLOP/s" in words
        page.wait_for_selector(f"{INDICATOR}[data-status=idle]", state="attached")
        page.keyboard.press("Control+s")
        wait_for(lambda: "finished" in written(tmp_path / "training.ipynb"), seconds=20)
        text = written(tmp_path / "training.ipynb")
        assert "\r" not in text
        lines = text.splitlines()
        assert 10 <= len(lines) <= 24, "a line a tenth, and one a score"
        assert "finished at step 234 of 234" in lines[-1]


def written(path) -> str:
    """What the cell of the training wrote, in the notebook as it was saved; nothing while it is being saved."""
    try:
        outputs = nbformat.read(path, as_version=4).cells[1].outputs
    except NotJSONError:
        return ""
    return "".join(output.get("text", "") for output in outputs)


def test_a_page_of_its_own_follows_what_another_process_trains(tmp_path, monkeypatch, chromium):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    command = dash.command("training", port=port, browser=False)
    running = server(command, f"{url}voila/static/favicon.ico", environment, tmp_path / "log")
    with running, browser(chromium, viewport={"width": 900, "height": 900}) as page:
        page.goto(url, timeout=120_000)
        page.wait_for_selector(".af-board", timeout=120_000)
        says(page, "No training runs on this machine yet")
        with TrainingLog(tmp_path / "run-1", title="elsewhere") as log:
            log.step(Step(25, 100, 25_600, 6.5, 0.01))
            says(page, r"elsewhere\s+at work[\s\S]*step 25 of 100")
        says(page, r"elsewhere\s+finished")
