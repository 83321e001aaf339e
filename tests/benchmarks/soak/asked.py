"""What was asked and what came back: one line an act, and a count that the servers' own metrics must agree with."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from aifactory_lab import aside

Key = tuple[str, str]  # an endpoint, and what it counts: a status or the reason why a generation ended


class Wrong(AssertionError):  # noqa: N818 - the word of this book
    """An answer that is not the right one."""


@dataclass
class Bursts:
    """When more requests came at once than a server takes, so that it refuses some."""

    active: int = 0
    ended: float = 0.0

    @contextmanager
    def burst(self) -> Iterator[None]:
        """Say that there is one."""
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1
            self.ended = time.monotonic()

    def since(self, moment: float) -> bool:
        """Tell whether there was one at any time since a moment; a busy client reads late what was sent then."""
        return self.active > 0 or self.ended >= moment


@dataclass
class Asked:
    """The book of a soak.

    Attributes
    ----------
    acts
        What each client did: endpoint, kind, start and duration in seconds, whether it held, what was wrong.
    sure
        What the servers must have counted.
    unsure
        What they may have counted besides: the answers that nobody waited for.
    tokens, busy, unprompted
        Tokens that were checked; refusals with 429, all of which were asked again; those of them that no burst of ours
        explains, but a machine that is busy with other things.
    """

    started: float = field(default_factory=time.monotonic)
    acts: list[dict[str, object]] = field(default_factory=list)
    sure: Counter[Key] = field(default_factory=Counter)
    unsure: Counter[Key] = field(default_factory=Counter)
    tokens: int = 0
    busy: int = 0
    unprompted: int = 0

    @contextmanager
    def act(self, endpoint: str, kind: str, *, valid: bool) -> Iterator[dict[str, float]]:
        """Note how an act went; a wrong answer or a broken connection is noted and not raised."""
        start, what, timed = time.monotonic(), "", {}
        try:
            yield timed
        except Exception as error:  # noqa: BLE001 - whatever it was, the soak goes on and the book says so
            what = f"{type(error).__name__}: {error}"[:500] or "?"
            print(f"{time.strftime('%H:%M:%S')} {endpoint} {kind}: {what}", flush=True)
        now = time.monotonic()
        values = {"endpoint": endpoint, "kind": kind, "valid": valid, "start": start - self.started}
        self.acts.append({**values, "seconds": timed.get("seconds", now - start), "what": what})

    def count(self, endpoint: str, what: object, number: int = 1) -> None:
        """Expect the server to have counted something."""
        self.sure[endpoint, str(what)] += number

    def frame(self) -> pl.DataFrame:
        """Return the acts as a table."""
        schema = {"endpoint": pl.String, "kind": pl.String, "valid": pl.Boolean}
        return pl.DataFrame(self.acts, schema | {"start": pl.Float64, "seconds": pl.Float64, "what": pl.String})

    def write(self, path: Path) -> None:
        """Keep the acts as Parquet."""
        with aside.write_aside(path) as half:
            self.frame().write_parquet(half)


def demand(true: bool, what: object) -> None:
    """Raise `Wrong` unless it is true."""
    if not true:
        raise Wrong(str(what)[:400])
