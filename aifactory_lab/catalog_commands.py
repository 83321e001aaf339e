"""`aifactory catalog`: what there is, what it needs, whether that is here, and how it is run.

    aifactory catalog                          # everything, by kind
    aifactory catalog models --query llama
    aifactory catalog show gb200-nvl72
    aifactory catalog run recipes/flights --quick
    aifactory catalog systems                  # what an AI factory is made of, and what stands for it here

It parses, asks the catalogue, and prints; what serves is kept until Ctrl-C.

>>> from typer.testing import CliRunner
>>> CliRunner().invoke(app, ["show", "datasets/flights"]).exit_code
0
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aifactory_lab.access import tokens
from aifactory_lab.access.tokens import Token
from aifactory_lab.catalog.entry import HOST, KINDS
from aifactory_lab.terminal import console, helpful, say, table, until_stopped

if TYPE_CHECKING:
    import polars as pl

    from aifactory_lab.catalog import Entry, Ran

app = typer.Typer(help="Everything that has a name here: what it needs, and how it is run.")
WIDTH = 80  # that a list fits; a wider terminal is used
MARKS = {True: "✓", False: "–"}

Workspace = Annotated[Path | None, typer.Option("--workspace", "-w", help="Run folder: champions, results.")]
Query = Annotated[str, typer.Option("--query", "-q", help="Only what holds all of these words.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
Name = Annotated[str, typer.Argument(help="A name, or kind/name where several kinds have one of it.")]


@app.callback(invoke_without_command=True)
@helpful
def everything(context: typer.Context, query: Query = "", workspace: Workspace = None, as_json: Json = False) -> None:
    """List everything, or search it."""
    if context.invoked_subcommand is None:
        _list(None, query, workspace, as_json=as_json)


@app.command()
@helpful
def show(name: Name, workspace: Workspace = None, as_json: Json = False) -> None:
    """Show one entry: what it is, what it needs, whether that is here, the lines that run it."""
    from aifactory_lab import catalog

    entry = catalog.find(name, workspace=workspace)
    if as_json:
        return say(json.dumps(entry.to_dict(), indent=1, ensure_ascii=False))
    page = console()
    page.print(f"[bold]{entry.address}[/]", highlight=False)
    card = Table.grid(padding=(0, 2))
    for what, told in entry.rows():
        card.add_row(f"[dim]{what}[/]", Text(told, overflow="fold"))
    return page.print(card)


@app.command()
@helpful
def run(
    name: Name,
    workspace: Workspace = None,
    quick: Annotated[bool, typer.Option("--quick", help="On a thin slice of its data: seconds, not minutes.")] = False,
    port: Annotated[int, typer.Option(help="Of what serves; 0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option(help="This machine only, unless you say otherwise.")] = HOST,
    as_json: Json = False,
) -> None:
    """Run one entry; what serves answers until Ctrl-C."""
    from aifactory_lab import catalog

    options: dict[str, Any] = {"workspace": workspace, "quick": quick, "host": host, "port": port}
    with catalog.run(name, **options, say=None if as_json else say) as ran:
        _tell(ran, as_json=as_json)
        if ran.service is not None:
            tokens.show(getattr(ran.service, "secret", Token()))
            until_stopped()


@app.command()
@helpful
def systems(as_json: Json = False) -> None:
    """Show what an AI factory is made of, what stands for each part here, and what is not there."""
    from aifactory_lab import catalog

    found = catalog.systems()
    if as_json:
        return say(json.dumps(found.to_dicts(), indent=1, ensure_ascii=False))
    page = _page()
    for row in found.iter_rows(named=True):
        page.print(Text(row["system"], style="bold"))
        card = Table.grid(padding=(0, 2), expand=False)
        for what in found.columns[1:]:
            card.add_row(f"[dim]{what}[/]", Text(row[what], overflow="fold"))
        page.print(Padding(card, (0, 0, 1, 2)))
    return None


def _kind(name: str, runs: str) -> None:
    """Add the command that lists a kind."""

    @app.command(name, help=f"List the {name}: run, each is {runs}.")
    @helpful
    def _(query: Query = "", workspace: Workspace = None, as_json: Json = False) -> None:
        _list(name, query, workspace, as_json=as_json)


for _name, _runs in KINDS.items():
    _kind(_name, _runs)


def _list(kind: str | None, query: str, workspace: Path | None, *, as_json: bool) -> None:
    from aifactory_lab import catalog

    found = catalog.entries(kind, query, workspace=workspace)
    if as_json:
        say(json.dumps([entry.to_dict() for entry in found], indent=1, ensure_ascii=False))
        return
    page = _page()
    for name in dict.fromkeys(entry.kind for entry in found):
        page.print(f"[bold]{name}[/] [dim]run: {KINDS[name]}[/]", highlight=False)
        page.print(_shelf(entry for entry in found if entry.kind == name))
    missing = sum(not entry.ready for entry in found)
    page.print(f"{len(found)} entries; {missing} marked – lack something. aifactory catalog show NAME", highlight=False)


def _shelf(found: Iterable["Entry"]) -> Padding:
    """Return the entries of a kind as a table; under a title why it cannot run, if it cannot."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(no_wrap=True, style="cyan")
    made.add_column(overflow="fold")
    for entry in found:
        made.add_row(MARKS[entry.ready], entry.name, Text(entry.title))
        if not entry.ready:
            made.add_row("", "", Text(f"{entry.state.words}: {entry.state.mend}", style="yellow"))
    return Padding(made, (0, 0, 1, 2))


def _page() -> Console:
    """Return a console that is at least as wide as a list needs."""
    page = console()
    return page if page.is_terminal else Console(width=WIDTH)


def _tell(ran: "Ran", *, as_json: bool) -> None:
    if as_json:
        rows = [] if ran.frame is None else ran.frame.to_dicts()
        service = getattr(ran.service, "url", None)
        told = {"entry": ran.entry.address, "words": ran.words, "rows": rows, "url": service}
        return say(json.dumps(told, indent=1, ensure_ascii=False, default=str))
    say(ran.words)
    return _print(ran.frame) if ran.frame is not None else None


def _print(frame: "pl.DataFrame") -> None:
    console().print(table(frame.to_dicts(), frame.columns))
