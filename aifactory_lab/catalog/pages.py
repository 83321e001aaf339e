"""Pages in the catalogue: dashboards that are served, and lessons that are run from the first cell to the last.

What a board shows, its notebook says; what a lesson is called, its first line. An installed package brings the boards;
the lessons come with a checkout.

>>> "gpus" in [entry.name for entry in dashboards()]
True
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from aifactory_lab import dash
from aifactory_lab.access import tokens
from aifactory_lab.aside import write_aside
from aifactory_lab.catalog import readiness
from aifactory_lab.catalog.entry import Entry, Order, Ran, State
from aifactory_lab.errors import FactoryError
from aifactory_lab.serve.processes import address, bind
from aifactory_lab.workspace import VARIABLE

LESSONS = Path(__file__).parents[2] / "notebooks"
START_SECONDS = 120.0
CELL_SECONDS = 900
EXTRAS = {"lm": r"\b(lm|laws|tokens)\b", "fleet": r"\bfleet\b", "twin": r"\busd\b"}  # and the words that ask for them
GPU_BOARDS = ("gpus", "mission_control")


def dashboards() -> Iterator[Entry]:
    """Yield the boards."""
    for name in dash.boards():
        yield Entry(
            "dashboards",
            name,
            dash.shows(name),
            needs="a browser",
            command=f"aifactory dash {name}",
            python="; ".join(line for line in _code(dash.folder() / f"{name}.ipynb") if line.strip()),
            state=readiness.gpus() if name in GPU_BOARDS else State(),
        )


def lessons() -> Iterator[Entry]:
    """Yield the lessons in the order of reading."""
    for path in sorted(LESSONS.glob("[0-9]*.ipynb")):
        title = "".join(_cells(path)[0]["source"]).splitlines()[0].lstrip("# ")
        yield Entry(
            "lessons",
            path.stem,
            title.partition("· ")[2] or title,
            needs="JupyterLab to read it (make lab); some minutes to run it",
            command=f"aifactory catalog run lessons/{path.stem}",
            python=f"from aifactory_lab import catalog; catalog.run('lessons/{path.stem}')",
            source=f"notebooks/{path.name}",
            state=readiness.first(*(readiness.packages(extra) for extra in _extras(path))),
        )


def serve(entry: Entry, order: Order) -> Ran:
    """Serve a board by voila to this machine, and return when it answers."""
    if not tokens.local(order.host):
        msg = f"the catalogue serves boards to this machine only, not on {order.host}"
        raise FactoryError(msg, mend=f"aifactory dash {entry.name} --host {order.host}  # asks for a token")
    page = Page(entry.name, order.host, order.port, order.workspace)
    return Ran(entry, f"{entry.name} at {page.url}", value=page, service=page)


class Page:
    """A board in a voila of its own, until stopped.

    Raises
    ------
    FactoryError
        If it does not answer.
    """

    def __init__(self, board: str, host: str, port: int, workspace: Path) -> None:
        with bind(host, port) as free:  # voila does not tell which port it took
            self.url = f"{address(free, host)}/"
            port = free.getsockname()[1]
        command = dash.command(board, port=port, host=host, browser=False)
        environment = {**os.environ, VARIABLE: str(workspace)}
        self._process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
        try:
            self._wait(board)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it, and the kernels of its pages."""
        self._process.terminate()
        self._process.wait(START_SECONDS)

    def _wait(self, board: str) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}voila/static/favicon.ico").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        msg = f"the board {board} did not answer at {self.url}"
        raise FactoryError(msg, mend=f"aifactory dash {board}  # says why")


def study(entry: Entry, order: Order) -> Ran:
    """Run a lesson in a kernel of its own, and keep it with its outputs."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    path = LESSONS / f"{entry.name}.ipynb"
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=CELL_SECONDS, resources={"metadata": {"path": str(LESSONS)}})
    out = order.folder(entry) / path.name
    if order.say is not None:
        order.say(f"running {path}")
    try:
        client.execute(env={**os.environ, VARIABLE: str(order.workspace)})
    except CellExecutionError as error:
        msg = f"{path.name} stopped at a cell: {error.ename}: {error.evalue}"
        raise FactoryError(msg, mend=f"jupyter lab {path}") from error
    with write_aside(out) as aside:
        nbformat.write(notebook, aside)  # type: ignore[no-untyped-call]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return Ran(entry, f"{len(cells)} cells were run; {out}", value=out)


def _cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return found


def _extras(path: Path) -> list[str]:
    """Return the extras that the code of a lesson asks for."""
    code = "\n".join("".join(cell["source"]) for cell in _cells(path) if cell["cell_type"] == "code")
    return [extra for extra, words in EXTRAS.items() if re.search(words, code)]


def _code(path: Path) -> list[str]:
    return "".join(_cells(path)[0]["source"]).splitlines()
