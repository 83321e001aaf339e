"""The command line: `aifactory run`, `dash`, `doctor`, `datasets`, `catalog`, `fleet`, `links`, `twin`, `gpu-check`.

It parses, calls one room, and prints; whatever can go wrong with a user's input leaves as one clear message
and exit code 2. It knows no maths.

>>> from typer.testing import CliRunner
>>> CliRunner().invoke(app, ["doctor"]).exit_code
0
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from aifactory_lab import catalog_commands, fleet_commands, twin_commands
from aifactory_lab.access import tokens as access
from aifactory_lab.dash import HOST, PORT
from aifactory_lab.device import VARIABLE
from aifactory_lab.errors import FactoryError
from aifactory_lab.terminal import console, helpful, say, stoppable, table, until_stopped

if TYPE_CHECKING:
    from aifactory_lab import line as lines


class Line(StrEnum):
    """What `run` runs."""

    both = "both"
    decisions = "decisions"
    tokens = "tokens"


app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
app.add_typer(catalog_commands.app, name="catalog")
app.add_typer(fleet_commands.app, name="fleet")
app.add_typer(twin_commands.app, name="twin")
Blueprint = Annotated[
    str, typer.Argument(help="A blueprint: a YAML file, or one of flights, tokens, factory, quick.", show_default=False)
]
KEPT = "finished stations are kept, and the same command goes on from there"
WIDE = 100  # columns of a terminal that shows every column of the stations
Folder = Annotated[Path | None, typer.Option("--workspace", "-w", help="Run folder: artefacts, ledger, report.")]


@app.command()
@helpful
def run(
    blueprint: Blueprint = "",
    workspace: Folder = None,
    copies: Annotated[int, typer.Option(help="Copies of the flight records: 1 is 0.34 M rows, 30 is 10 M.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "",
    line: Annotated[Line, typer.Option(help="Which production line.")] = Line.both,
    depth: Annotated[int, typer.Option(help="Size of the language model: 4 is 1.1 M parameters, 7 is 4.7 M.")] = 4,
    tokens: Annotated[int, typer.Option(help="Tokens to train it on.")] = 1_000_000,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the blueprint can be run.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Print a blueprint for your own table, to begin with.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of blueprints, for editors.")] = False,
) -> None:
    """Run both production lines on real data, or what a blueprint describes, to a report.

    Exit code 0: it ran, and every objective of a blueprint was met; 2: it could not run; 3: it ran and missed one.
    """
    from aifactory_lab import line as lines
    from aifactory_lab import line_report

    if new or schema or blueprint or check:
        usual = (copies, line, depth, tokens) == (1, Line.both, 4, 1_000_000)
        with stoppable(KEPT), _asked(device):
            raise typer.Exit(_described(blueprint, workspace, check=check, new=new, schema=schema, usual=usual))
    finished: list[lines.LineRun] = []
    with stoppable(KEPT), _asked(device):
        if line != Line.tokens:
            finished.append(lines.run(workspace, copies=copies, say=say))
        if line != Line.decisions:
            finished.append(lines.tokens.run(workspace, depth=depth, tokens=tokens, say=say))
        _told(line_report.write(*finished), finished)


def _described(word: str, workspace: Path | None, *, check: bool, new: bool, schema: bool, usual: bool) -> int:
    """Run, check or print what has to do with blueprints; return the exit code."""
    from aifactory_lab import blueprints

    if new or schema:
        typer.echo(blueprints.template() if new else blueprints.schema(), nl=False)
        return 0
    if not word or not usual:
        msg = "--check needs a blueprint" if not word else "sizes are settings of the blueprint, not options beside it"
        raise FactoryError(msg, mend=f"aifactory run {word or 'flights'}{' --check' if check else ''}")
    if check:
        say(f"{word} can be run: {blueprints.check(blueprints.find(word)).summary}")
        return 0
    done = blueprints.run(blueprints.read(blueprints.find(word)), workspace, say=say)
    _told(done.report, done.lines)
    say(f"SLO:    {done.verdict}")
    with blueprints.serving(done) as servers:
        for server in servers:
            say(f"Serves: {server.url}")
            access.show(server.secret)
        if servers:
            until_stopped()
    return 0 if done.met else 3


def _told(path: Path, finished: Sequence["lines.LineRun"]) -> None:
    """Print the stations of a run, its few numbers, where its report is, and what to do next."""
    from aifactory_lab import line_report

    page = console()
    made = line_report.stations(*finished, narrow=page.width < WIDE)
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for name in made.columns:
        table.add_column(name, justify="left" if name == "station" else "right", no_wrap=True)
    for row in made.rows:
        table.add_row(*row)
    page.print(table)
    say("")
    for text in line_report.closing(finished, path):
        say(text)


@contextmanager
def _asked(device: str) -> Iterator[None]:
    """Ask for a device in the environment, where every room and every child process looks, for one command."""
    before = os.environ.get(VARIABLE)
    if device:
        os.environ[VARIABLE] = device
    try:
        yield
    finally:
        if device and before is None:
            del os.environ[VARIABLE]
        elif device and before is not None:
            os.environ[VARIABLE] = before


@app.command()
@helpful
def doctor() -> None:
    """Say what this machine has, what is missing, and how to mend each gap."""
    from aifactory_lab import doctor as room

    found = room.checkup()
    table = Table(show_edge=False)
    for name in ("", "what", "found", "mend"):
        table.add_column(name, overflow="fold")
    colours = {"ok": "green", "gap": "red", "note": "yellow"}
    for f in found.findings:
        mark = room.MARKS[f.state].replace("[", r"\[")
        table.add_row(f"[{colours[f.state]}]{mark}[/]", f.what, f.found, f.mend)
    Console().print(table)
    raise typer.Exit(0 if found.healthy else 1)


@app.command()
@helpful
def datasets() -> None:
    """List the catalogue."""
    from aifactory_lab import datasets as room

    Console().print(_table(room.catalogue().to_dicts()))


@app.command()
@helpful
def dash(
    board: Annotated[
        str,
        typer.Argument(
            help="mission_control, gpus, throughput, training, fleet, factory_floor, design_studio, catalog."
        ),
    ] = "mission_control",
    port: Annotated[int, typer.Option(help="Where to listen.")] = PORT,
    host: Annotated[str, typer.Option(help="This machine only, unless you say otherwise.")] = HOST,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Serve a live board as a web page (voila)."""
    from aifactory_lab import dash as room

    raise typer.Exit(room.serve(board, port=port, host=host, browser=browser))


@app.command()
@helpful
def links(
    workspace: Folder = None,
    again: Annotated[bool, typer.Option("--again", help="Measure now, also what is remembered.")] = False,
) -> None:
    """Measure what this machine's links carry (disk, memory, GPUs), beside what they should."""
    from aifactory_lab import links as room
    from aifactory_lab.workspace import Workspace

    folder = Workspace(workspace).root
    found = room.measure(folder) if again else room.measured(folder)
    console().print(table(found.rows(), list(found.rows()[0])))
    for line in (*found.reasons(), f"measured {found.date} in {folder}"):
        say(line)


@app.command("gpu-check")
@helpful
def gpu_check() -> None:
    """Prove, without a GPU, that every recipe translates to cuDF (needs the RAPIDS wheels: make gpu-check)."""
    from aifactory_lab.etl import translation as room

    verdicts = room.check_all()
    Console().print(_table(verdicts.to_dicts()))
    if verdicts["unsupported"].list.len().sum():
        raise typer.Exit(1)


def _table(rows: list[dict[str, object]]) -> Table:
    table = Table(show_edge=False)
    for name in rows[0] if rows else ["nothing"]:
        table.add_column(str(name), overflow="fold")
    for row in rows:
        table.add_row(*[str(value) for value in row.values()])
    return table


if __name__ == "__main__":
    sys.exit(app())
