"""The forms of a fleet: what a person types is sent, what goes wrong is said, and every button answers."""

from contextlib import suppress

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import FactoryError
from aifactory_lab.fleet import Fleet, frames
from aifactory_lab.fleet.source import FleetSource
from aifactory_lab.widgets import FleetForms
from aifactory_lab.widgets.jobtable import MOST_ROWS
from aifactory_lab.widgets.wishes import arguments, callables
from tests.fleet.scripted import job
from tests.widgets.conftest import until


def scaled(value, by=2):
    print(f"<scaled {value} by {by}>")
    return value * by


def broken():
    msg = "no <data>"
    raise ValueError(msg)


@pytest.fixture
def forms(tmp_path, monkeypatch):
    monkeypatch.setattr(FleetSource, "period", 0.2)
    made = FleetForms(Fleet("inline", folder=tmp_path), namespace={"scaled": scaled, "broken": broken}, folder=tmp_path)
    yield made
    made.close()


def fill(forms, **fields):
    for name, value in fields.items():
        getattr(forms, name).value = value
    return forms.submit()


def press(forms, name, row=0):
    forms.table.rows[row].buttons[name].click()
    return forms.table.told.value


def test_a_function_is_sent_by_name_with_what_was_typed(forms):
    sent = fill(forms, what="scaled", given="21, by=2", gpus=2, project="vision", priority="interactive", hours=0.5)
    assert sent.result() == 42
    order = sent.order
    assert (order.name, order.gpus, order.project, order.priority, order.hours) == (
        *("scaled", 2, "vision", "interactive", 0.5),
    )
    assert f"sent job {sent.id}" in forms.message.value
    assert forms.table.rows[0].job_id == sent.id
    assert "scaled</b>" in forms.table.rows[0].words.value


def test_every_button_answers_in_words_and_text_stays_text(forms):
    fill(forms, what="scaled", given="1", name="first")
    assert "&lt;scaled 1 by 2&gt;" in press(forms, "logs")
    assert "COMPLETED" in press(forms, "explain")
    assert forms.table.rows[0].buttons["cancel"].disabled, "it has ended"
    fill(forms, what="broken", given="", name="")
    rows = [row for row in forms.table.rows if "broken" in row.words.value]
    rows[0].buttons["logs"].click()
    assert "ValueError: no &lt;data&gt;" in forms.table.told.value


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"what": "nothing"}, "there is no function &#x27;nothing&#x27; here"),
        ({"what": ""}, "nothing to run was given"),
        ({"what": "scaled", "given": "1, by=os.getcwd()"}, "these are no arguments"),
        ({"what": "scaled", "given": "1", "gpus": 3, "nodes": 2}, "3 GPUs do not spread evenly over 2 nodes"),
        ({"what": "scaled", "given": "1", "project": "no such/thing"}, "is not 1 to 64 letters"),
        ({"what": "scaled", "given": "1", "nodes": 2}, "one node, not 2"),
        ({"what": "scaled", "given": "1, gpus=2"}, "gpus is asked for above"),
        ({"what": "absent.ipynb"}, "absent.ipynb"),
        ({"what": "some.ipynb", "given": "1"}, "a notebook takes its parameters by name"),
    ],
)
def test_what_goes_wrong_is_said_in_the_form_with_what_mends_it(forms, fields, words):
    assert fill(forms, **fields) is None
    assert words in forms.message.value
    assert 'role="alert"' in forms.message.value
    assert "<code" in forms.message.value


def test_a_notebook_is_sent_with_its_parameters(forms, tmp_path):
    cells = [
        nbformat.v4.new_code_cell("rate = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("rate"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, tmp_path / "study.ipynb")
    until(lambda: "study.ipynb" in forms.what.options)
    sent = fill(forms, what="study.ipynb", given="rate=7")
    executed = nbformat.read(sent.result(), as_version=4)
    assert executed.cells[-1].outputs[0]["data"]["text/plain"] == "7"
    assert sent.order.kind == "notebook"


def test_the_table_follows_jobs_that_others_send(forms):
    sent = forms.fleet.submit(scaled, 1, name="elsewhere")
    until(lambda: forms.table.rows and forms.table.rows[0].job_id == sent.id)
    assert forms.table.note.value == ""


def test_many_jobs_are_counted_and_rows_that_are_not_needed_go(forms):
    rows = [job(n, "PENDING", reason="QOSGrpGRES") for n in range(100)]
    forms.table.show(frames.frame(frames.JOBS, rows))
    assert len(forms.table.rows) == MOST_ROWS
    assert "the newest 12 of 100 jobs" in forms.table.note.value
    assert "waits (QOSGrpGRES)" in forms.table.rows[0].words.value
    assert not forms.table.rows[0].buttons["cancel"].disabled
    forms.table.show(frames.frame(frames.JOBS, rows[:1]))
    assert [row.layout.display for row in forms.table.rows[:2]] == [None, "none"]
    forms.table.show(frames.empty(frames.JOBS))
    assert "No job was sent yet" in forms.table.note.value


def test_a_job_that_the_fleet_never_sent_is_no_traceback(forms):
    forms.table.show(frames.frame(frames.JOBS, [job(7, "RUNNING")]))
    assert "there is no job" in press(forms, "cancel")


def test_only_what_a_person_wrote_is_offered():
    names = {"f": scaled, "_hidden": scaled, "number": 7, "kind": dict, "built": len, "Order": frames}
    assert callables(names) == ["f"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.from_regex(r"\A[a-z]{1,8}\Z").map(lambda name: f"{name}_")


@given(st.lists(VALUES, max_size=3), st.dictionaries(NAMES, VALUES, max_size=3))
def test_literals_come_back_as_they_were_typed(args, kwargs):
    text = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])
    assert arguments(text) == (tuple(args), kwargs)


@given(st.text(max_size=30))
def test_whatever_is_typed_is_literals_or_refused_and_never_run(text):
    with suppress(FactoryError):
        args, kwargs = arguments(text)
        assert arguments(", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]))


@pytest.mark.parametrize("text", ["1)(2", "**{'a': 1}", "print(1)", "x", "1); import os; (2", "lambda: 1"])
def test_tricks_are_refused(text):
    with pytest.raises(FactoryError, match="no arguments"):
        arguments(text)
