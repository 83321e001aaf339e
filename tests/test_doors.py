"""Every package opens all the names that it lists, and says which there are when one is wrong."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import aifactory_lab

PACKAGE = Path(aifactory_lab.__file__).parent
LAZY = sorted(
    ".".join(path.parent.relative_to(PACKAGE.parent).parts)
    for path in PACKAGE.rglob("__init__.py")
    if "lazy(__name__" in path.read_text()
)


@pytest.mark.parametrize("package", LAZY)
def test_every_listed_name_opens(package):
    room = import_module(package)
    for name in room.__all__:
        assert getattr(room, name) is not None
        assert name in dir(room)
    assert len(set(room.__all__)) == len(room.__all__)


@pytest.mark.parametrize("package", LAZY)
def test_what_is_listed_is_what_the_type_checker_sees(package):
    """A lazy name without an import under TYPE_CHECKING would be Any to everyone's editor."""
    path = PACKAGE.parent.joinpath(*package.split("."), "__init__.py")
    tree = ast.parse(path.read_text())
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    listed = set(import_module(package).__all__)
    homes = set(getattr(import_module(package), "_HOMES", {}))
    assert homes <= imported | defined
    assert homes <= listed


def test_a_wrong_name_says_which_there_are():
    with pytest.raises(AttributeError, match="has no 'designs'; did you mean 'design'"):
        _ = aifactory_lab.twin.designs
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from aifactory_lab.lm import nothing")


def test_a_door_opens_nothing_else():
    """Looking at the list, or asking for a name that is not there, imports no room."""
    code = (
        "import sys, aifactory_lab; dir(aifactory_lab); hasattr(aifactory_lab, 'nothing');"
        "print([m for m in sys.modules if m.startswith('aifactory_lab.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['aifactory_lab.doors']"
