"""What the commands of the command line share: mistakes as messages, frames as tables.

This module knows no command.

>>> text(None), text(True), text(["n1:0", "n1:1"]), text(0.25)
('', 'yes', 'n1:0 n1:1', '0.25')
"""

import dataclasses
import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from inspect import Parameter, Signature, signature
from types import FrameType
from typing import Any, ParamSpec, TypeVar, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from aifactory_lab.errors import FactoryError

P = ParamSpec("P")
T = TypeVar("T")
LOG_WIDTH = 120  # of tables in a file or a pipe, where nobody says how wide the page is


def helpful(command: Callable[P, None]) -> Callable[P, None]:
    """Turn a FactoryError into its message and exit code 2; anything else is a bug and keeps its traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except FactoryError as error:
            message = f"[bold red]aifactory:[/] {escape(str(error))}"  # "[gpu]" in an install line is no markup
            Console(stderr=True).print(message, highlight=False, soft_wrap=True)
            raise typer.Exit(2) from error

    return wrapped


def asking(form: type[T], word: str = "asked") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the fields of a dataclass as options of its own, so that several commands can share them.

    Parameters
    ----------
    form
        A dataclass whose fields are typed as typer's options are.
    word
        The parameter under which the command takes the filled form.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        fields = [
            Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
            for field in dataclasses.fields(cast("Any", form))
        ]

        @functools.wraps(command)
        def wrapped(**given: Any) -> None:
            filled = form(**{field.name: given.pop(field.name) for field in fields})
            command(**{word: filled}, **given)

        own = [found for name, found in signature(command).parameters.items() if name != word]
        wrapped.__signature__ = Signature([*own, *fields])  # type: ignore[attr-defined]
        wrapped.__annotations__ = {found.name: found.annotation for found in (*own, *fields)}
        return wrapped

    return decorate


@contextmanager
def stoppable(words: str) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal end the block in order: what it started ends before it does.

    Parameters
    ----------
    words
        What the user should know then.

    Raises
    ------
    typer.Exit
        With 128 and the number of the signal, as shells do.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _stop) for number in numbers}
    try:
        yield
    except (_Stopped, KeyboardInterrupt) as stop:  # a library may have taken Ctrl-C for its own
        number = stop.number if isinstance(stop, _Stopped) else signal.SIGINT
        Console(stderr=True).print(f"\naifactory: stopped; {words}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(128 + number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def until_stopped() -> None:
    """Wait for Ctrl-C, or for the end that a service manager asks for; then go on."""
    asked = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in numbers}
    say("Ctrl-C stops it")
    asked.wait()
    for number, handler in before.items():
        signal.signal(number, handler)


class _Stopped(BaseException):
    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


def _stop(number: int, _: FrameType | None) -> None:
    raise _Stopped(number)


def console() -> Console:
    """Return a console as wide as the terminal, or as a page where there is none."""
    return Console(width=None if sys.stdout.isatty() else LOG_WIDTH)


def say(line: str) -> None:
    """Print a line as it is: no markup, no colours in it, not folded."""
    console().print(line, highlight=False, markup=False, soft_wrap=True)


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """Return rows as a table; what a row lacks stays empty, numbers stand at the right."""
    rows = list(rows)
    made = Table(show_edge=False, box=None, pad_edge=False)
    for name in columns:
        number = any(isinstance(row.get(name), int | float) and not isinstance(row[name], bool) for row in rows)
        made.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(text(row.get(name))) for name in columns))
    return made


def text(value: Any) -> str:
    """Return a value as a cell of a table; a time is told in the clock of this machine."""
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, datetime):
        return f"{value.astimezone():%m-%d %H:%M:%S}"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
