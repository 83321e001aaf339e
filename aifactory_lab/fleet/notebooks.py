"""A notebook as a job: checked when it is sent, run by papermill, its executed copy kept beside the job's files.

The job runs the notebook as it was when it was sent, in the folder where it lies, with the interpreter of the job.
While it runs the copy is ``<id>_<name>.running.ipynb``, saved after every cell; when it has ended, well or not,
``<id>_<name>.ipynb``. What a notebook prints goes to the job's log. This module knows no scheduler.

    job = fleet.notebook("train.ipynb", params={"rounds": 50}, gpus=1, name="train")
    job.result()  # the path of the executed copy

>>> notebook_run(Path("no/such.ipynb"), {})
Traceback (most recent call last):
aifactory_lab.errors.FleetError: there is no notebook no/such.ipynb
...
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aifactory_lab.errors import FleetError, require

nbformat: Any = require("nbformat", extra="fleet")  # untyped

TAG = "parameters"
START_SECONDS = 300  # a kernel on a busy node
PLAIN = (bool, int, float, str, type(None))


def notebook_run(path: Path, params: Mapping[str, Any]) -> "NotebookRun":
    """Return what a job calls to run a notebook.

    Parameters
    ----------
    path
        The notebook, in Python.
    params
        Values for names that its cell tagged ``parameters`` assigns: numbers, strings, None, lists and dicts of them.

    Raises
    ------
    FleetError
        If there is no such notebook, or it is none, or it cannot take these parameters.
    """
    require("papermill", extra="fleet")
    notebook = _read(path)
    if params:
        _check_params(path, notebook, params)
    return NotebookRun(path.absolute(), nbformat.writes(notebook), params)


class NotebookRun:
    """A checked notebook and its parameters; call it in a job.

    Attributes
    ----------
    path
        Where the notebook lies.
    source
        What was in it when it was sent, as JSON.
    """

    def __init__(self, path: Path, source: str, params: Mapping[str, Any]) -> None:
        self.path, self.source, self.params = path, source, _written(dict(params))
        self.__name__ = path.stem

    def __call__(self) -> str:
        """Run it; return the path of the executed copy.

        Raises
        ------
        FleetError
            If a cell raised: which one, and what; the copy holds everything up to there.
        """
        papermill = require("papermill", extra="fleet")
        target = _beside_the_job(self.path.stem)
        running = target.with_suffix(".running.ipynb")
        try:
            papermill.execute_notebook(
                nbformat.reads(self.source, as_version=4),
                running,
                self.params,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                stdout_file=sys.stdout,
                stderr_file=sys.stderr,
                start_timeout=START_SECONDS,
                kernel_manager_class=_kernel_manager(),
                resources={"metadata": {"path": str(self.path.parent)}},
            )
        except papermill.exceptions.PapermillExecutionError as error:
            running.replace(target)
            raise _failure(self.path.name, error, target) from error
        return str(running.replace(target))


def parameters(notebook: Any) -> set[str] | None:
    """Return the names that the cell tagged ``parameters`` assigns; None if there is no such cell."""
    tagged = [cell for cell in notebook.cells if TAG in cell.metadata.get("tags", ()) and cell.cell_type == "code"]
    return set(_assigned(tagged[0].source)) if tagged else None


def _read(path: Path) -> Any:
    if not path.is_file():
        msg = f"there is no notebook {path}"
        raise FleetError(msg, mend="fleet.notebook('…/train.ipynb')  # relative to the folder that Python runs in")
    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(notebook)
    except (ValueError, KeyError, AttributeError, nbformat.ValidationError, nbformat.reader.NotJSONError) as error:
        msg = f"{path} is not a notebook: {str(error).splitlines()[0]}"
        raise FleetError(msg, mend="fleet.notebook('…/train.ipynb')  # a file that Jupyter opens") from error
    language = notebook.metadata.get("kernelspec", {}).get("language") or "python"
    if language != "python":
        msg = f"{path} is written in {language}; the fleet runs notebooks in Python"
        raise FleetError(msg, mend="choose a Python kernel for it in JupyterLab")
    return notebook


def _check_params(path: Path, notebook: Any, params: Mapping[str, Any]) -> None:
    known = parameters(notebook)
    if known is None:
        msg = f"{path} takes no parameters: none of its cells is tagged {TAG!r}"
        raise FleetError(msg, mend=f"give the cell with the defaults the tag {TAG!r} (JupyterLab: Property Inspector)")
    for name, value in params.items():
        if name not in known:
            msg = f"{path} has no parameter {name!r}; the cell tagged {TAG!r} assigns: {', '.join(sorted(known))}"
            raise FleetError(msg, mend=f"{name} = {value!r}  # in the cell tagged {TAG!r}")
        if not _plain(value):
            msg = f"the parameter {name!r} is a {type(value).__name__}, which cannot be written into a cell"
            raise FleetError(
                msg, mend=f"params={{{name!r}: str(…)}}  # numbers, strings, None, lists and dicts of them"
            )


def _plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _plain(part) for key, part in value.items())
    return all(map(_plain, value)) if isinstance(value, (list, tuple)) else isinstance(value, PLAIN)


def _written(value: Any) -> Any:
    """Return a plain value with lists for tuples, of which papermill would write the text."""
    if isinstance(value, Mapping):
        return {key: _written(part) for key, part in value.items()}
    return [*map(_written, value)] if isinstance(value, (list, tuple)) else value


def _assigned(source: str) -> Iterator[str]:
    """Yield the names that a cell assigns at its top level; magics and shell lines are IPython's to read."""
    transformer = require("IPython.core.inputtransformer2", extra="fleet").TransformerManager()
    try:
        statements = ast.parse(transformer.transform_cell(source)).body
    except SyntaxError:
        return
    for statement in statements:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for node in (node for target in targets if target for node in ast.walk(target)):
            if isinstance(node, ast.Name):
                yield node.id


def _beside_the_job(name: str) -> Path:
    """Return where the executed copy of this job's notebook belongs."""
    job = require("submitit", extra="fleet").JobEnvironment()
    return Path(job.paths.folder) / f"{job.job_id}_{name}.ipynb"


def _kernel_manager() -> type[Any]:
    """Return nbclient's kernel manager for the interpreter of this process, whatever kernels are installed."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class SameInterpreter(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(**get_kernel_dict())

    return SameInterpreter


def _failure(name: str, error: Any, copy: Path) -> FleetError:
    """Say which cell raised what; the cell's traceback is in the cause."""
    msg = f"cell [{error.exec_count}] of {name} ({_first(error.source)}) raised {error.ename}: {_first(error.evalue)}"
    return FleetError(msg, mend=f"open {copy}, which holds everything up to there")


def _first(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
