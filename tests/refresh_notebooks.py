"""`make notebooks`: run every lesson on the CPU, keep its outputs, derive the learner's copy.

The authored notebooks, with solutions, are `notebooks/solutions/NN_topic.ipynb`; `notebooks/NN_topic.ipynb` is
the same without the cells tagged `solution`. Widget state is dropped (megabytes a figure), execution counts
are made 1..n (without them a strict comparison silently compares nothing).

>>> from tests.refresh_notebooks import lesson_of
>>> import nbformat
>>> authored = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", metadata={"tags": ["solution"]})])
>>> lesson_of(authored).cells
[]
"""

import copy
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
AUTHORED = NOTEBOOKS / "solutions"
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def main(words: list[str]) -> None:
    """Refresh the named notebooks (by the start of their names), or all."""
    os.environ["AIFACTORY_DEVICE"] = "cpu"
    for path in sorted(AUTHORED.glob("*.ipynb")):
        if words and not path.name.startswith(tuple(words)):
            continue
        print(f"running {path.name}", flush=True)
        refreshed = refresh(nbformat.read(path, as_version=4))
        nbformat.write(refreshed, path)
        nbformat.write(lesson_of(refreshed), NOTEBOOKS / path.name)


def refresh(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Run a notebook where its readers run it, and leave only what should be kept."""
    NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOKS)}}
    ).execute()
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {})
    return numbered(notebook)


def lesson_of(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the learner's copy: solution cells out, counts renumbered."""
    lesson = copy.deepcopy(notebook)
    lesson.cells = [cell for cell in lesson.cells if "solution" not in cell.metadata.get("tags", [])]
    return numbered(lesson)


def numbered(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Number the code cells 1..n, in their outputs too."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    return notebook


if __name__ == "__main__":
    main(sys.argv[1:])
