"""The newcomer notices what goes wrong, ends what serves, and brings nothing of ours along."""

import os
import sys

import pytest

from tests.documents import commands
from tests.newcomer import __main__ as walk
from tests.newcomer import notebooks, shell
from tests.newcomer.machine import Machine, surroundings


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "clone").mkdir()
    return Machine(tmp_path / "clone", surroundings(tmp_path / "home", os.environ))


def test_nothing_of_ours_comes_along(machine):
    ours = {"AIFACTORY_DATA", "PYTHONUNBUFFERED", "PYTHONPATH", "VIRTUAL_ENV", "OMP_WAIT_POLICY"}
    step = shell.run(machine, f"! env | grep -E '^({'|'.join(ours)})='", limit=60)
    assert step.stumbled == ""
    assert ".venv" not in machine.environment["PATH"]


def test_a_command_that_fails_is_told_with_its_last_words(machine):
    step = shell.run(machine, "echo no such dial >&2; exit 3", limit=60)
    assert step.stumbled == "exit code 3: no such dial (000.log)"
    assert step.row().endswith("| exit code 3: no such dial (000.log) |")


def test_a_command_that_hangs_is_ended(machine):
    assert "not done after 1 s" in shell.run(machine, "sleep 600", limit=1).stumbled


@pytest.mark.parametrize(("page", "said"), [("x" * 600, ""), ("x", "status 200")])
def test_what_serves_is_asked_once_and_ended(machine, page, said, monkeypatch):
    monkeypatch.setattr(shell, "kind", lambda _: "serves")
    (machine.clone / "index.html").write_text(page)
    step = shell.run(
        machine, f"PYTHONUNBUFFERED=1 {sys.executable} -m http.server 0 --bind 127.0.0.1 | sed -u 's/.(h/ h/'", limit=60
    )
    assert step.stumbled.startswith(said)
    assert bool(step.stumbled) == bool(said)


def test_a_server_that_ends_at_once_is_told(machine, monkeypatch):
    monkeypatch.setattr(shell, "kind", lambda _: "serves")
    assert "ended with 4" in shell.run(machine, "exit 4", limit=60).stumbled


def test_all_that_is_typed_would_run_and_is_typed_once():
    typed = walk.typed()
    assert len(typed) == len(set(typed))
    assert typed[:2] == ["make run", "make test"]
    assert [command for command in typed if commands.complaint(command)] == []
    assert typed[-1] == "aifactory fleet down"


def test_every_section_with_python_is_pasted_whole():
    pasted = list(notebooks.pastings(notebooks.readme()))
    assert sum(len(each.cells) - 1 for each in pasted) == len(notebooks.readme().blocks("python"))
    assert set(notebooks.GIVEN) <= {each.name for each in pasted}
