"""Notebooks from top to bottom, and Python blocks as one would paste them, in the kernel of the newcomer's own `.venv`.

>>> [pasted.name for pasted in pastings(readme())][:1]
['The live plant']
"""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import nbformat

from tests.documents.texts import Document, readme
from tests.newcomer.machine import Machine
from tests.newcomer.shell import Step

__all__ = ["Pasted", "pastings", "readme", "run", "run_pasted"]
# What a reader of these sections has before he begins; the documents say so in words.
GIVEN = {
    "Sharing the plant": """
from aifactory_lab import datasets, etl as rooms
recipe, raw = rooms.recipes.flights(), datasets.load("flights")
files = ["a", "b", "c", "d"]
def train(data): return f"trained on {data}"
def score(file): return len(file)
def etl(client): return client.submit(sum, [1, 2, 3]).result()
""",
}
SCRIPT = """
import json, sys, nbformat, nbclient
path, folder = sys.argv[1:]
notebook = nbformat.read(path, as_version=4)
nbclient.NotebookClient(notebook, timeout=1500, kernel_name="python3", allow_errors=True,
                        resources={"metadata": {"path": folder}}).execute()
errors = [(cell.source.strip().splitlines()[0], f"{o.ename}: {o.evalue}"[:300])
          for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs if o.output_type == "error"]
print("RESULT " + json.dumps(errors))
"""


@dataclass(frozen=True)
class Pasted:
    """The Python blocks of one section of a document, pasted into one notebook."""

    name: str
    cells: tuple[str, ...]


def pastings(document: Document) -> Iterator[Pasted]:
    """Yield the sections of a document that have Python, with what their reader has before he begins."""
    for section, blocks in groupby(document.blocks("python"), key=lambda block: block.section):
        yield Pasted(section, (GIVEN.get(section, "pass"), *(block.text for block in blocks)))


def run_pasted(machine: Machine, pasted: Pasted, document: str) -> Step:
    """Paste a section's blocks into one notebook and run it in the clone."""
    cells = [nbformat.v4.new_code_cell(text) for text in pasted.cells]
    path = machine.clone.parent / "pasted.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return _run(machine, path, machine.clone, f"Python of {document}, {pasted.name}")


def run(machine: Machine, path: Path) -> Step:
    """Run a lesson or a board from top to bottom, where its readers run it."""
    return _run(machine, path, machine.clone / "notebooks", str(path.relative_to(machine.clone)))


def _run(machine: Machine, path: Path, folder: Path, what: str) -> Step:
    began = time.monotonic()
    done = subprocess.run(
        [machine.python, "-c", SCRIPT, str(path), str(folder)],
        env=dict(machine.environment),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    result = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    errors = json.loads(result[-1].removeprefix("RESULT ")) if result else [("the kernel", done.stderr[-300:])]
    return Step(what, time.monotonic() - began, "; ".join(f"`{where}` {said}" for where, said in errors))
