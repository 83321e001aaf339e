"""Hygiene that makes the strict notebook comparison honest, and lessons readable."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from tests.refresh_notebooks import AUTHORED, NOTEBOOKS, lesson_of

LESSONS = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
ALL = [*LESSONS, *sorted(AUTHORED.glob("*.ipynb"))]
UNCHECKED = "nbval-ignore-output"


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def lines(cell: nbformat.NotebookNode) -> list[str]:
    return [line for line in cell.source.splitlines() if line.strip() and not line.strip().startswith("#")]


def words(path: Path) -> str:
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


every = pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(NOTEBOOKS)))
lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)


def test_there_are_lessons():
    numbers = [int(p.name[:2]) for p in LESSONS]
    assert numbers == sorted(set(numbers)), "numbers are the order of reading; a missing one is still being written"
    assert numbers[:5] == [0, 1, 2, 3, 4]
    assert [p.name for p in LESSONS] == [p.name for p in sorted(AUTHORED.glob("*.ipynb"))]


@lesson
def test_lesson_is_the_authored_notebook_without_solutions(path):
    expected = lesson_of(read(AUTHORED / path.name))
    assert read(path) == expected


@lesson
def test_solutions_come_last(path):
    """So that running the authored notebook runs the lesson, cell by cell, before anything else."""
    tagged = ["solution" in cell.metadata.get("tags", []) for cell in read(AUTHORED / path.name).cells]
    assert any(tagged)
    assert tagged == sorted(tagged)


@every
def test_every_cell_was_run_in_order(path):
    assert [cell.execution_count for cell in code(path)] == list(range(1, len(code(path)) + 1))


@lesson
def test_outputs_are_really_compared(path):
    shown = [cell for cell in code(path) if cell.outputs]
    checked = [cell for cell in shown if UNCHECKED not in cell.metadata.get("tags", [])]
    assert len(checked) >= 0.4 * len(shown), "rates and model scores belong to the machine; the rest is compared"


@every
def test_notebook_is_clean(path):
    notebook = read(path)
    assert "widgets" not in notebook.metadata, "widget state costs megabytes"
    assert notebook.metadata.kernelspec.name == "python3"
    assert path.stat().st_size < 300_000
    for cell in notebook.cells:
        assert cell.get("id")
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert "/root/" not in str(output)
            assert str(NOTEBOOKS.parent) not in str(output), "a path of the machine that ran it"


@every
def test_cells_are_thin(path):
    for cell in code(path):
        assert len(lines(cell)) <= 15, cell.source
        assert not cell.source.rstrip().endswith(";"), "a trailing semicolon breaks the comparison"
        assert not re.search(r"^\s*[!%](?!%meter|load_ext)", cell.source, re.MULTILINE), "no shell or pip in a lesson"
        assert "Output()" not in cell.source
        for node in ast.walk(ast.parse(re.sub(r"^%.*$", "", cell.source, flags=re.MULTILINE))):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef), "helpers belong in the library"


@lesson
def test_lesson_has_the_shape_of_a_lesson(path):
    cells = code(path)
    total = sum(len(lines(cell)) for cell in cells)
    assert total <= 90, f"{total} code lines"
    text = words(path)
    assert re.match(r"# [^#]", text), "a title"
    for needed in ("You will", "Where we are", "On a GPU", "## What we measured", "## Exercises"):
        assert needed in text, needed
    assert 2 <= len(re.findall(r"^\d\. ", text.split("## Exercises")[1], re.MULTILINE)) <= 3
    pictures = sum("plotly" in str(o.get("data", {}).keys()) for cell in cells for o in cell.outputs)
    assert pictures >= 2, "a picture every few cells"
