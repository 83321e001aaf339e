"""The catalogue to browse: search, filter, a card with what a thing needs, lines to copy, and a button that runs it.

What runs, runs in the kernel, in a thread of its own; a service goes on until it is stopped here, or the kernel ends.
This module knows no entry: `catalog` lists and runs them.

>>> browser = CatalogBrowser("twins")
>>> browser
CatalogBrowser(7 of ... entries)
>>> browser.pick("twins/gb200-nvl72").command.line
'aifactory twin design --chassis gb200-nvl72'
>>> browser.close()
"""

import threading
from html import escape
from pathlib import Path
from typing import Any, Self

import ipywidgets as ipw

from aifactory_lab import catalog as room
from aifactory_lab.catalog import Entry, Ran
from aifactory_lab.errors import FactoryError
from aifactory_lab.report import TextTable
from aifactory_lab.widgets.copyline import CopyLine
from aifactory_lab.widgets.spoken import TONES, said, shown, warned
from aifactory_lab.widgets.studiotiles import table

EVERY = "everything"
HERE = ("datasets", "recipes", "models", "endpoints", "twins")  # what is sensible to run in a kernel
MARKS = {True: "✓", False: "–"}
SLICED = ("recipes", "models")  # where a thin slice makes a difference
LONG = 12  # letters from which a cell holds words and not a number
MOST_ROWS, MOST_LINES = 12, 200  # of a result, and of what a run says
LEFT = ipw.Layout(flex="1 1 300px", min_width="0", padding="0 14px 8px 0")
RIGHT = ipw.Layout(flex="999 1 460px", min_width="min(100%, 300px)")
WIDE = ipw.Layout(width="auto", min_width="0")
STYLE = {"description_width": "56px"}
GRID = "display:grid;grid-template-columns:max-content minmax(0,1fr);gap:3px 14px;line-height:1.45;margin:2px 0 6px"


class CatalogBrowser(ipw.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """The catalogue.

    Parameters
    ----------
    kind
        To begin with: one of `catalog.KINDS`.
    query
        Words to begin with.
    workspace
        Whose champions are listed, and where results go; by default `workspace.default_root()`.

    Raises
    ------
    FactoryError
        If there is no such kind.
    """

    def __init__(self, kind: str = "", query: str = "", *, workspace: Path | str | None = None) -> None:
        self.workspace = workspace
        if kind:
            room.entries(kind, workspace=workspace)  # says which there are
        self.entries: dict[str, Entry] = {}
        self._running: threading.Thread | None = None
        self._ran: Ran | None = None
        self._lines: list[str] = []
        self._filters(kind or EVERY, query)
        self._card()
        self.refresh()
        left = ipw.VBox([self.words, self.kind, self.ready, self.count, self.list], layout=LEFT)
        right = ipw.VBox([self.card, self.command, self.python, self._buttons, self.told], layout=RIGHT)
        super().__init__([ipw.HBox([left, right], layout=ipw.Layout(flex_flow="row wrap"))])

    def refresh(self) -> None:
        """Ask the rooms again what there is, and whether it can run here."""
        self.entries = {entry.address: entry for entry in room.entries(workspace=self.workspace)}
        self._filter()

    def pick(self, address: str) -> Self:
        """Show an entry's card.

        Raises
        ------
        FactoryError
            If there is none of this name.
        """
        address = room.find(address, workspace=self.workspace).address
        if address not in self._listed():
            self.words.value, self.kind.value, self.ready.value = "", EVERY, False
        self.list.value = address
        return self

    def run(self, *, wait: bool = False) -> None:
        """Run the entry that is shown, in a thread; what it says and leaves is shown below its card.

        Parameters
        ----------
        wait
            Until it is done, for scripts.
        """
        self.stop()
        entry = self.entries[self.list.value]
        self._lines = [f"running {entry.address} …"]
        self.told.value = shown(self._lines[0])
        self.run_button.disabled = True
        running = threading.Thread(target=self._work, args=(entry,), name="aifactory-catalog", daemon=True)
        self._running = running
        running.start()
        if wait:
            running.join()

    def stop(self) -> None:
        """Stop what serves; where nothing does, nothing happens."""
        if self._ran is not None and self._ran.service is not None:
            self._ran.stop()
            self.told.value = said(f"{self._ran.entry.address} was stopped", "plain")
        self._ran = None
        self.stop_button.layout.display = "none"

    def close(self) -> None:
        """Stop what serves, and let go of the page."""
        if hasattr(self, "stop_button"):
            self.stop()
        super().close()

    def __repr__(self) -> str:
        return f"CatalogBrowser({len(self._listed())} of {len(self.entries)} entries)"

    def _filters(self, kind: str, query: str) -> None:
        kinds = [EVERY, *room.KINDS]
        hint = "llama, CC0, GPU …"
        self.words = ipw.Text(query, description="search", placeholder=hint, style=STYLE, layout=WIDE)
        self.kind = ipw.Dropdown(options=kinds, value=kind, description="kind", style=STYLE, layout=WIDE)
        self.ready = ipw.Checkbox(value=False, description="only what runs here", indent=False, layout=WIDE)
        self.count = ipw.HTML()
        self.list = ipw.Select(
            rows=18, description="name", style=STYLE, layout=ipw.Layout(width="auto", min_width="0", height="auto")
        )
        for field in (self.words, self.kind, self.ready):
            field.observe(lambda _: self._filter(), "value")
        self.list.observe(lambda _: self._show(), "value")

    def _card(self) -> None:
        self.card, self.told = ipw.HTML(), ipw.HTML(layout=WIDE)
        self.command, self.python = CopyLine("shell"), CopyLine("notebook")
        self.run_button = ipw.Button(description="Run", icon="play", button_style="primary")
        self.quick = ipw.Checkbox(value=True, description="quick: on a thin slice of its data", indent=False)
        self.stop_button = ipw.Button(description="Stop", icon="stop", layout=ipw.Layout(display="none"))
        self.run_button.on_click(lambda _: self.run())
        self.stop_button.on_click(lambda _: self.stop())
        row = ipw.Layout(flex_flow="row wrap", align_items="center", margin="6px 0")
        self._buttons = ipw.HBox([self.run_button, self.stop_button, self.quick], layout=row)

    def _listed(self) -> list[str]:
        return [address for _, address in self.list.options]

    def _filter(self) -> None:
        kind, before = self.kind.value, self.list.value
        found = [
            entry
            for entry in self.entries.values()
            if kind in (EVERY, entry.kind) and entry.holds(self.words.value) and (entry.ready or not self.ready.value)
        ]
        self.list.options = [(_label(entry, kind == EVERY), entry.address) for entry in found]
        there = self._listed()
        self.list.value = before if before in there else next(iter(there), None)
        self.count.value = f'<span role="status">{len(found)} of {len(self.entries)}</span>'
        self._show()

    def _show(self) -> None:
        entry = self.entries.get(self.list.value or "")
        self.card.value = _card(entry) if entry else said("nothing is called like that", "plain")
        self.command.line = entry.command if entry else ""
        self.python.line = entry.python if entry else ""
        here = entry is not None and entry.kind in HERE
        self._buttons.layout.display = None if here else "none"
        self.quick.layout.display = None if entry is not None and entry.kind in SLICED else "none"
        busy = self._running is not None and self._running.is_alive()
        self.run_button.disabled = busy or entry is None or not entry.ready

    def _work(self, entry: Entry) -> None:
        """Run an entry (in a thread of its own), and say what came of it or why nothing did."""
        try:
            ran = room.run(entry.address, workspace=self.workspace, quick=self.quick.value, say=self._say)
        except FactoryError as error:
            self.told.value = warned(error)
        except Exception as error:
            self.told.value = said(f"{type(error).__name__}: {error}", "bad")
            raise
        else:
            self._ran = ran
            self.stop_button.layout.display = None if ran.service is not None else "none"
            self.told.value = _result(ran)
        finally:
            self._running = None
            self.refresh()

    def _say(self, line: str) -> None:
        self._lines = [*self._lines, line][-MOST_LINES:]
        self.told.value = shown("\n".join(self._lines))


def _label(entry: Entry, every: bool) -> str:
    """Return what stands in the list: a mark, the name, and the kind where all are listed."""
    return f"{MARKS[entry.ready]} {entry.name}" + (f"  ({entry.kind})" if every else "")


def _card(entry: Entry) -> str:
    rows = [row for row in entry.rows() if row[0] not in ("shell", "notebook")]
    tone = TONES["good" if entry.ready else "bad"]
    dot = {"here": f'<span aria-hidden="true" style="color:{tone}">●</span> '}
    cells = "".join(
        f'<span style="opacity:.78;font-size:12px">{name}</span>'
        f'<span style="overflow-wrap:anywhere">{dot.get(name, "")}{escape(told)}</span>'
        for name, told in rows
    )
    return f'<h3 style="margin:0 0 6px">{escape(entry.name)}</h3><div style="{GRID}">{cells}</div>'


def _result(ran: Ran) -> str:
    """Return what came of a run: its words, and the first rows of its table."""
    words = said(ran.words) if "\n" not in ran.words else shown(ran.words)
    if ran.frame is None or ran.frame.is_empty():
        return words
    rows = [[_cell(value) for value in row] for row in ran.frame.head(MOST_ROWS).rows()]
    left = ran.frame.height - len(rows)
    more = said(f"and {left:,} more rows", "plain") if left else ""
    columns = tuple(ran.frame.columns)
    sentences = [name for name, *cells in zip(columns, *rows, strict=True) if max(map(len, cells)) > LONG]
    return words + table(TextTable(columns, rows, sentences)) + more


def _cell(value: Any) -> str:
    """Return a value as a cell of a table.

    >>> _cell(None), _cell(0.123456), _cell(12)
    ('', '0.1235', '12')
    """
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
