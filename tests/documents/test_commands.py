"""Every shell command that a document names would run: its target, its command, its options and its extras exist."""

import re

import pytest

from tests.documents import commands
from tests.documents.texts import ROOT, every, readme

NAMED = [(f"{document.name}:{line}", command) for document in every() for line, command in commands.of(document)]


@pytest.mark.parametrize(("where", "command"), NAMED, ids=[f"{where}:{command}" for where, command in NAMED])
def test_command_would_run(where, command):
    assert commands.complaint(command) is None, where


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("make tests", "no target 'tests'"),
        ("make clean run", None),
        ("aifactory runs", "No such command"),
        ("aifactory twin usd", "Missing argument"),
        ("aifactory twin design|day|usd", None),
        ("aifactory twin design|dey", "No such command"),
        ("aifactory dash fleet --port 8866", None),
        ("aifactory dash flight", "no board 'flight'"),
        ("aifactory dash fleet --port high", "Invalid value"),
        ("python -m aifactory_lab.clip", "no module"),
        ("python -m tests.benchmarks etl --quick", None),
        ("python -m tests.benchmarks elt", "no benchmark 'elt'"),
        ("python datasets/rebuild.py", "no file"),
        (".venv/bin/pip install -e '.[lm,dev]'", None),
        ("pip install 'aifactory-lab[cuda]'", "no extra 'cuda'"),
        ("AIFACTORY_DEVICE=cpu .venv/bin/aifactory run", None),
        ("jupyter lab lessons", "no 'lessons'"),
        ("conda install everything", "nobody here knows"),
    ],
)
def test_a_stale_command_would_be_noticed(command, said):
    found = commands.complaint(command)
    assert found is None if said is None else said in (found or "")


def test_readme_opens_with_the_two_commands():
    assert [line.split("#")[0].strip() for line in readme().blocks("bash")[0].text.splitlines()] == [
        "make run",
        "make test",
    ]


def test_every_command_of_ours_is_told_somewhere():
    """What a newcomer could use and never hears of is as bad as what he hears of and cannot use."""
    told = " ".join(command for _, command in NAMED)
    silent = {name for name in commands.program().commands if f"aifactory {name}" not in told}
    assert silent <= {"gpu-check"}, "name it in README or CONTRIBUTING"


def test_every_target_says_what_it_does():
    rules = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(rules) <= set(commands.targets())
