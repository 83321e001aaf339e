"""A training in a terminal: a bar with its numbers and, below, what the model writes; elsewhere a few plain lines.

It listens to the training's log, and computes nothing but the words. A notebook, a pipe and a CI job get a line at
every tenth of the way and no carriage return. It does not know how the training is done.

>>> import tempfile
>>> from aifactory_lab.telemetry.trainings import Step, TrainingLog
>>> log = TrainingLog(tempfile.mkdtemp(), title="doctest", announced=False)
>>> with show(log, live=False), log:
...     log.score("gzip", 1.92)
...     log.step(Step(step=5, steps=10, tokens=5_120, loss=6.5, learning_rate=1e-3, tokens_rate=8_000.0, mfu=33.1))
...     log.score("bits_per_byte", 2.5, step=5)
doctest: step 5 of 10, 5,120 tokens, loss 6.5, 8 ktokens/s, MFU 33.1 %
doctest: held-out bits per byte 2.5 (above gzip 1.92)
doctest: finished at step 5 of 10, 5,120 tokens, loss 6.5, held-out bits per byte 2.5
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.trainings import account
from aifactory_lab.telemetry.trainings.entries import End, Entry, Score, Step
from aifactory_lab.telemetry.trainings.log import TrainingLog
from aifactory_lab.telemetry.trainings.training import Follower

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

TENTHS = 10
QUIET_SECONDS = 60.0  # after which a slow training says a line between two tenths
SAMPLE_LINES = 12
REFRESHES = 4  # a second


@contextmanager
def show(log: TrainingLog, *, live: bool | None = None, console: "Console | None" = None) -> Iterator[None]:
    """Show a training while the block runs: ``with terminal.show(log), log: …``, so that its last word is seen too.

    Parameters
    ----------
    live
        Whether to redraw one picture in place; by default where standard output is a terminal that a person watches.
    console
        Where to draw, by default standard output.
    """
    from rich.console import Console

    where = console or Console(force_jupyter=False, highlight=False)
    drawn = _watched(where) if live is None else live
    with _live(log, where) if drawn else _lines(log, where):
        yield


def _watched(console: "Console") -> bool:
    """Tell whether a person sees a terminal: no pipe, no notebook, no CI."""
    return console.is_terminal and not os.environ.get("CI") and "ipykernel" not in sys.modules


@contextmanager
def _lines(log: TrainingLog, console: "Console") -> Iterator[None]:
    lines = Lines(_story(log))

    def say(entry: Entry) -> None:
        for text in lines.take(entry):
            console.print(text, markup=False, highlight=False, soft_wrap=True)

    end = log.listen(say)
    yield
    if log.closed:  # else its last word is still to come
        end()


@contextmanager
def _live(log: TrainingLog, console: "Console") -> Iterator[None]:
    from rich.live import Live

    picture = Picture(_story(log))
    with Live(picture, console=console, refresh_per_second=REFRESHES):
        end = log.listen(picture.take)
        try:
            yield
        finally:
            end()


def _story(log: TrainingLog) -> Follower:
    """Return what the log says so far: a resumed training goes on with the steps before."""
    story = Follower(log.path)
    story.look()
    if story.begun is None:  # a log that cannot be written
        story.take(log.begun)
    return story


class Lines:
    """The few lines that a training says where nothing can be redrawn."""

    def __init__(self, story: Follower) -> None:
        self.story = story
        self._tenth = _tenth(story.last) if story.last else 0
        self._said = time.monotonic()

    def take(self, entry: Entry) -> list[str]:
        """Take in an entry; return the lines to say now, mostly none."""
        self.story.take(entry)
        title = self.story.begun.title if self.story.begun else "training"
        return [f"{title}: {text}" for text in self._words(entry)]

    def _words(self, entry: Entry) -> list[str]:
        if isinstance(entry, Score) and entry.step is not None:
            return [scored(self.story, entry)]
        if isinstance(entry, End):
            return self._last(entry)
        if not isinstance(entry, Step):
            return []
        tenth, now = _tenth(entry), time.monotonic()
        if tenth <= self._tenth and now - self._said < QUIET_SECONDS:
            return []
        self._tenth, self._said = max(tenth, self._tenth), now
        rates = [
            METRICS["tokens_rate"].text(entry.tokens_rate) if entry.tokens_rate is not None else "",
            f"MFU {entry.mfu:.3g} %" if entry.mfu is not None else "",
            f"{duration(entry.eta)} left" if entry.eta is not None else "",
        ]
        return [", ".join([_reached(self.story), *(rate for rate in rates if rate)])]

    def _last(self, entry: End) -> list[str]:
        words = [f"{entry.state} at {_reached(self.story)}" if self.story.last else entry.state]
        words += [entry.reason] if entry.reason else []
        last = next((one for one in reversed(self.story.scores) if one.name == account.HELD_OUT), None)
        words += [f"held-out bits per byte {last.value:.4g}"] if last else []
        return [", ".join(words)]


class Picture:
    """A training as one picture in a terminal, drawn anew by `rich`."""

    def __init__(self, story: Follower) -> None:
        self.story = story
        self._lock = threading.Lock()

    def take(self, entry: Entry) -> None:
        """Take in an entry (in the training's thread)."""
        with self._lock:
            self.story.take(entry)

    def __rich__(self) -> "RenderableType":
        from rich.console import Group

        with self._lock:
            parts = [self._bar(), self._numbers(), *self._sample()]
        return Group(*parts)

    def _bar(self) -> "RenderableType":
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        story, last = self.story, self.story.last
        state = " ".join((story.ended.state, story.ended.reason)) if story.ended else ""
        left = f"{duration(last.eta)} left" if last and last.eta is not None else ""
        total, done = (last.steps, last.step) if last else (1, 0)
        row = Table.grid(padding=(0, 2), expand=True)
        row.add_column(no_wrap=True)
        row.add_column(ratio=1)
        row.add_column(justify="right", no_wrap=True)
        title = f"[bold]{_escaped(story.begun.title)}[/]" if story.begun else ""
        row.add_row(title, ProgressBar(total, done), f"{done / total:.0%}  {_escaped(state) or left}")
        return row

    def _numbers(self) -> "RenderableType":
        from rich.table import Table

        grid = Table.grid(padding=(0, 3))
        numbers = figures(self.story)
        grid.add_row(*(f"[dim]{label}[/]" for label, _, _ in numbers))
        grid.add_row(*(f"[bold]{value}[/]" for _, value, _ in numbers))
        grid.add_row(*(f"[dim]{_escaped(under)}[/]" for _, _, under in numbers))
        return grid

    def _sample(self) -> "list[RenderableType]":
        from rich.panel import Panel
        from rich.text import Text

        if not self.story.samples:
            return []
        sample = self.story.samples[-1]
        lines = sample.text.splitlines()[:SAMPLE_LINES]
        return [Panel(Text("\n".join(lines)), title=f"written at step {sample.step:,}", title_align="left")]


def figures(story: Follower) -> list[tuple[str, str, str]]:
    """Return label, value and the words below it: tokens, loss, bits per byte, tokens per second, MFU."""
    last, begun = story.last, story.begun
    planned = (begun.facts.get("tokens") if begun else None) or 0
    loss = account.smoothed([one.loss for one in story.steps], account.half_life(story.steps))
    held = next((one for one in reversed(story.scores) if one.name == account.HELD_OUT), None)
    peak = account.flops(begun.facts.get("peak_flops")) if begun else ""
    rate = METRICS["tokens_rate"].text(last.tokens_rate) if last and last.tokens_rate is not None else "–"
    return [
        ("tokens", f"{last.tokens:,}" if last else "–", f"of {planned:,}" if planned else ""),
        ("loss, smoothed", f"{loss[-1]:.3f}" if len(loss) else "–", "nats per token"),
        ("bits per byte", f"{held.value:.3f}" if held else "–", account.standing(story)),
        ("speed", rate, ""),
        ("MFU", f"{last.mfu:.3g} %" if last and last.mfu is not None else "–", f"of {peak}" if peak else ""),
    ]


def scored(story: Follower, score: Score) -> str:
    """Return a score in words, the held-out bits per byte beside its baselines."""
    if score.name != account.HELD_OUT:
        return f"{score.name.replace('_', ' ')} {score.value:.4g}"
    beside = account.standing(story)
    return f"held-out bits per byte {score.value:.4g}" + (f" ({beside})" if beside else "")


def duration(seconds: float) -> str:
    """Return seconds as people say them.

    >>> duration(8.4), duration(200), duration(7_500)
    ('8 s', '3 min', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    return f"{round(whole / 60)} min" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _reached(story: Follower) -> str:
    last = story.last
    assert last is not None
    loss = account.smoothed([one.loss for one in story.steps], account.half_life(story.steps))[-1]
    return f"step {last.step:,} of {last.steps:,}, {last.tokens:,} tokens, loss {loss:.4g}"


def _tenth(step: Step) -> int:
    return TENTHS * step.step // max(1, step.steps)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
