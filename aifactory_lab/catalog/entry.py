"""What stands in the catalogue, and what comes of running it.

An entry says everything that a person asks before trying a thing: what it is, what it needs, whether that is here, and
the line to type or to paste. This module does not know any entry.

>>> flights = Entry("datasets", "flights", "Flights of 2013", command="aifactory catalog run datasets/flights")
>>> flights.address, flights.ready, str(flights)
('datasets/flights', True, 'datasets/flights: Flights of 2013; runs here')
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

KINDS = {  # and what running one of them means
    "datasets": "loaded and described",
    "recipes": "run on its data, to a folder",
    "models": "trained on its line, or opened",
    "endpoints": "started on the champion, until stopped",
    "dashboards": "served as a web page, until stopped",
    "blueprints": "taken through its lines, to their report",
    "lessons": "run from the first cell to the last, and kept",
    "twins": "reckoned through: tokens, watts, dollars",
}
HOST = "127.0.0.1"
READY = "runs here"
FOLDER = "catalog"  # of the workspace: what running an entry leaves


@dataclass(frozen=True)
class State:
    """Whether a thing can run here now, in words.

    Attributes
    ----------
    ready
        True if it can.
    words
        Why not, or what to know beforehand.
    mend
        The line that mends it; empty if there is nothing to mend.
    """

    ready: bool = True
    words: str = READY
    mend: str = ""


@dataclass(frozen=True)
class Entry:
    """One thing of the catalogue.

    Attributes
    ----------
    kind, name, title
        What sort of thing, what it is asked for by, what it is.
    needs
        What it takes to run, on any machine.
    command, python
        The line for a shell, and the line for a notebook.
    licence, source
        Under what terms, and where from, where that applies.
    state
        Whether it can run here now.
    """

    kind: str
    name: str
    title: str
    needs: str = "nothing more"
    command: str = ""
    python: str = ""
    licence: str = ""
    source: str = ""
    state: State = field(default_factory=State)

    @property
    def address(self) -> str:
        """Kind and name, which together are unique."""
        return f"{self.kind}/{self.name}"

    @property
    def ready(self) -> bool:
        """Whether it can run here now."""
        return self.state.ready

    def holds(self, query: str) -> bool:
        """Tell whether every word of a query is found in kind, name, title, needs, licence or source.

        Examples
        --------
        >>> Entry("datasets", "flights", "Flights of 2013").holds("2013 FLIGHTS")
        True
        """
        text = " ".join((self.kind, self.name, self.title, self.needs, self.licence, self.source)).lower()
        return all(word in text for word in query.lower().split())

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        told = {name: getattr(self, name) for name in ("kind", "name", "title", "needs", "command", "python")}
        told |= {"licence": self.licence, "source": self.source}
        return told | {"ready": self.ready, "state": self.state.words, "mend": self.state.mend}

    def rows(self) -> list[tuple[str, str]]:
        """Return the lines of its card: what, and the answer; what does not apply is left out."""
        here = self.state.words + (f": {self.state.mend}" if self.state.mend else "")
        told = [("what", self.title), ("needs", self.needs), ("here", here), ("shell", self.command)]
        told += [("notebook", self.python), ("licence", self.licence), ("source", self.source)]
        return [(name, value) for name, value in told if value]

    def __str__(self) -> str:
        return f"{self.address}: {self.title}; {self.state.words}"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in self.rows())
        return f"<table><caption>{escape(self.address)}</caption>{rows}</table>"


class Service(Protocol):
    """Something that answers until it is stopped."""

    url: str

    def stop(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Order:
    """How a thing is to be run.

    Attributes
    ----------
    workspace
        Whose artefacts are used, and where results go.
    quick
        On a thin slice of its data: seconds instead of minutes, and no result to keep.
    host, port
        Of what serves; port 0 takes a free one.
    say
        Called with a line of progress; None for silence.
    """

    workspace: Path
    quick: bool = False
    host: str = HOST
    port: int = 0
    say: Callable[[str], None] | None = print

    def folder(self, entry: Entry) -> Path:
        """Return where results of an entry are kept."""
        made = self.workspace / FOLDER / entry.kind / (entry.name + ("-quick" if self.quick else ""))
        made.mkdir(parents=True, exist_ok=True)
        return made


@dataclass(frozen=True)
class Ran:
    """What came of it.

    Attributes
    ----------
    words
        What was done, in a sentence or a few lines.
    frame
        What there is to see, as a table; None if there is none.
    value
        What the room returned: a result, a folder, a design.
    service
        What now answers, until its `stop()`; None if nothing does.
    """

    entry: Entry
    words: str
    frame: "pl.DataFrame | None" = None
    value: Any = None
    service: Service | None = None

    def stop(self) -> None:
        """End what serves; where nothing does, nothing happens."""
        if self.service is not None:
            self.service.stop()

    def __enter__(self) -> "Ran":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __str__(self) -> str:
        return self.words if self.frame is None else f"{self.words}\n{self.frame}"

    def _repr_html_(self) -> str:
        table = "" if self.frame is None else self.frame._repr_html_()
        return f"<p>{escape(self.words)}</p>{table}"
