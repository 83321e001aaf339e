"""A run as one HTML file: self-contained, offline, light and dark.

It lays out titles, words, tables and figures that others made; it does not know what a station is.

>>> import tempfile
>>> page = Page("A run", "on a laptop", sections=[Section("Hello", words=["nothing was made"])])
>>> page.write(Path(tempfile.mkdtemp()) / "report.html").name
'report.html'
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    """One number that a reader should leave with."""

    value: str
    label: str


@dataclass(frozen=True)
class TextTable:
    """A table of ready-made strings; `words` names the columns that hold sentences."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[str] = ()


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
    """The whole report."""

    title: str
    subtitle: str
    tiles: Sequence[Tile] = ()
    sections: Sequence[Section] = ()
    footer: str = ""
    _environment: jinja2.Environment = field(
        default_factory=lambda: jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined), repr=False
    )

    def html(self) -> str:
        """Return the page; every text is escaped, so file names and errors cannot inject markup."""
        source = files("aifactory_lab").joinpath("report.html.j2").read_text(encoding="utf-8")
        sections = [_drawn(section, index) for index, section in enumerate(self.sections)]
        return self._environment.from_string(source).render(
            title=self.title,
            subtitle=self.subtitle,
            tiles=self.tiles,
            sections=sections,
            footer=self.footer,
            plotly_js=get_plotlyjs(),
        )

    def write(self, path: Path) -> Path:
        """Write the page aside, then rename it; return its path."""
        write_text(path, self.html())
        return path


def _drawn(section: Section, index: int) -> dict[str, Any]:
    figures = [
        figure.to_html(full_html=False, include_plotlyjs=False, config=CONFIG, div_id=f"figure-{index}-{number}")
        for number, figure in enumerate(section.figures)
    ]
    parts = {"title": section.title, "words": section.words, "verbatim": section.verbatim, "tables": section.tables}
    return {**parts, "figures": figures, "paired": len(figures) > 1 and not section.wide}
