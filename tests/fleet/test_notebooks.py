"""Notebooks as jobs: checked when they are sent, run by the same interpreter, kept whole or not."""

import json
import sys
from pathlib import Path

import nbformat
import pytest

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet
from aifactory_lab.fleet.notebooks import notebook_run

PATIENT = 180.0
DEFAULTS = "rounds = 10\nname: str = 'late'\n%matplotlib inline"


def write(path: Path, *cells: str, tagged: bool = True, **metadata) -> Path:
    made = [nbformat.v4.new_code_cell(source) for source in cells]
    if tagged:
        made[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=metadata), path)
    return path


def printed(path: str) -> list[str]:
    cells = nbformat.read(path, as_version=4).cells
    return [output.text for cell in cells if cell.cell_type == "code" for output in cell.outputs if "text" in output]


@pytest.fixture(scope="module", params=["inline", "workstation"])
def fleet(request, tmp_path_factory):
    fleet = Fleet(request.param, folder=tmp_path_factory.mktemp("fleet"), gpus=2)
    yield fleet
    if request.param == "workstation":
        fleet.engine.stop()


def test_a_notebook_runs_with_its_parameters_where_it_lies(fleet, tmp_path):
    path = write(
        tmp_path / "train.ipynb",
        "rounds = 10\nname = 'late'",
        "import os, sys\nprint(rounds, name, os.getcwd() == os.path.realpath(folder := os.getcwd()) and folder)",
        "print(sys.executable)",
    )
    job = fleet.notebook(path, params={"rounds": 50})
    copy = job.result(PATIENT)
    assert copy == str(fleet.engine.folder / f"{job.id}_train.ipynb")
    assert printed(copy) == [f"50 late {tmp_path}\n", f"{sys.executable}\n"]
    assert (job.order.name, job.order.kind) == ("train", "notebook")
    assert f"50 late {tmp_path}" in job.logs()
    assert not list(fleet.engine.folder.glob(f"{job.id}*.running.ipynb"))


def test_the_cell_that_raised_is_named_and_what_ran_is_kept(fleet, tmp_path):
    path = write(tmp_path / "bad.ipynb", "rows = 3", "print(rows)", "\nrows / 0", "print('never')", tagged=False)
    job = fleet.notebook(path, name="other")
    with pytest.raises(FleetError, match=r"cell \[3\] of bad.ipynb \(rows / 0\) raised ZeroDivisionError"):
        job.result(PATIENT)
    copy = fleet.engine.folder / f"{job.id}_bad.ipynb"
    assert str(copy) in job.logs()
    assert printed(copy) == ["3\n"]
    assert job.state == "FAILED"


def test_the_job_runs_what_was_sent_not_what_lies_there_now(tmp_path):
    path = write(tmp_path / "a.ipynb", "print('as sent')", tagged=False)
    run = notebook_run(path, {})
    path.unlink()
    copy = Fleet("inline", folder=tmp_path / "fleet").submit(run).result()
    assert printed(copy) == ["as sent\n"]


@pytest.mark.parametrize(
    ("params", "says", "mend"),
    [
        ({"depth": 3}, "no parameter 'depth'; the cell tagged 'parameters' assigns: name, rounds", "depth = 3"),
        ({"rounds": object()}, "'rounds' is a object", "str("),
        ({"rounds": {"a": [1, {2}]}}, "'rounds' is a dict", "str("),
    ],
)
def test_parameters_that_it_cannot_take_are_refused_when_it_is_sent(tmp_path, params, says, mend):
    path = write(tmp_path / "a.ipynb", DEFAULTS)
    with pytest.raises(FleetError, match=says) as caught:
        notebook_run(path, params)
    assert mend in caught.value.mend


def test_every_plain_value_is_taken(tmp_path):
    path = write(tmp_path / "a.ipynb", "(a, b), c = (1, 2), 3\nd = e = None", "print([a, b, c, d, e])")
    params = {"a": None, "b": [1.5, True], "c": {"k": "v"}, "d": (1, 2), "e": "\"quoted\" 'twice'"}
    copy = Fleet("inline", folder=tmp_path / "fleet").submit(notebook_run(path, params)).result()
    assert printed(copy) == [f"{[None, [1.5, True], {'k': 'v'}, [1, 2], params['e']]}\n"]


def test_what_is_no_notebook_is_refused_when_it_is_sent(tmp_path):
    untagged = write(tmp_path / "untagged.ipynb", "rounds = 1", tagged=False)
    other = write(tmp_path / "other.ipynb", "1", kernelspec={"name": "ir", "language": "R", "display_name": "R"})
    text, half = tmp_path / "text.ipynb", tmp_path / "half.ipynb"
    text.write_text("not JSON")
    half.write_text(json.dumps({"cells": [{"cell_type": "code"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    for path, params, says in [
        (tmp_path / "none.ipynb", {}, "there is no notebook"),
        (tmp_path, {}, "there is no notebook"),
        (text, {}, "is not a notebook"),
        (half, {}, "is not a notebook"),
        (other, {}, "is written in R"),
        (untagged, {"rounds": 2}, "none of its cells is tagged 'parameters'"),
    ]:
        with pytest.raises(FleetError, match=says):
            notebook_run(path, params)
