"""A run as one HTML file: self-contained, offline, light and dark, on a telephone and on paper.

It lays out titles, words, tables and figures that others made; it does not know what a station is. Plotly travels in
it, compressed: browsers newer than 2023 unpack it, an older one shows words and tables alone.

>>> import tempfile
>>> page = Page("A run", "on a laptop", sections=[Section("Hello", words=["nothing was made"])])
>>> page.write(Path(tempfile.mkdtemp()) / "report.html").name
'report.html'
"""

import base64
import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from aifactory_lab.aside import write_text
from aifactory_lab.figures.theme import CONFIG


@dataclass(frozen=True)
class Tile:
    """One number that a reader should leave with, what stands beside it, and whether that is good or bad news."""

    value: str
    label: str
    beside: str = ""
    mood: str = ""  # "good" or "bad" where a limit was set


@dataclass(frozen=True)
class Group:
    """Tiles that belong together, under a name and a sentence that says what came out."""

    title: str
    sentence: str
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class TextTable:
    """A table of ready-made strings; `words` names the columns that hold sentences, `caption` says what it is."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[str] = ()
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A heading with words, verbatim texts, tables and figures under it, in that order; `wide` figures share no row."""

    title: str
    words: Sequence[str] = ()
    tables: Sequence[TextTable] = ()
    figures: Sequence[go.Figure] = ()
    verbatim: Sequence[str] = ()
    wide: bool = False


@dataclass(frozen=True)
class Page:
    """The whole report: the groups of tiles come first, single tiles after them, what both assume in a note below."""

    title: str
    subtitle: str
    tiles: Sequence[Tile] = ()
    sections: Sequence[Section] = ()
    footer: str = ""
    groups: Sequence[Group] = ()
    note: str = ""
    _environment: jinja2.Environment = field(
        default_factory=lambda: jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined), repr=False
    )

    def html(self) -> str:
        """Return the page; every text is escaped, so file names and errors cannot inject markup."""
        source = files("aifactory_lab").joinpath("report.html.j2").read_text(encoding="utf-8")
        sections = [_drawn(section, index) for index, section in enumerate(self.sections)]
        drawn = any(section["figures"] for section in sections)
        return self._environment.from_string(source).render(
            page=self, sections=sections, config=json.dumps(CONFIG), plotly=_plotly() if drawn else ""
        )

    def write(self, path: Path) -> Path:
        """Write the page aside, then rename it; return its path."""
        write_text(path, self.html())
        return path


def _drawn(section: Section, index: int) -> dict[str, Any]:
    figures = [
        {"id": f"figure-{index}-{number}", "told": _told(figure), "data": _data(figure), "height": figure.layout.height}
        for number, figure in enumerate(section.figures)
    ]
    anchor = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")
    return {"section": section, "anchor": anchor, "figures": figures, "paired": len(figures) > 1 and not section.wide}


def _told(figure: go.Figure) -> str:
    """Return what a figure shows, for who cannot see it: its title, and what is drawn."""
    title = re.sub(r"(<[^>]+>|\s)+", " ", figure.layout.title.text or "A figure").strip()
    names = list(dict.fromkeys(trace.name for trace in figure.data if trace.name))
    return f"{title}: {', '.join(names)}" if names else title


def _data(figure: go.Figure) -> str:
    """Return a figure as JSON that may stand in a script element."""
    return str(figure.to_json()).replace("<", "\\u003c")


@cache
def _plotly() -> str:
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()
