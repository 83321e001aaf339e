"""The widget behind every board, and what passes between it and the page.

Traits hold only small things that stay as they are: title, panels, options. Everything that lives is a custom
message. The page says ``{"k": "hello"}`` whenever it is drawn, ``{"k": "ping"}`` every five seconds, and
``{"k": "facts", "feed", "entity"}``. A board answers a hello with layout and history of every feed (formats:
`telemetry.packets`), then sends a tick per sample and feed, from the sampler's thread, so that it goes on while a
cell computes. Slow things ride on these messages when they changed:

``bands``
    ``[{"station", "start", "stop"}]``: stations at work, ``stop`` null for one that still is.
``floor``
    ``{"flow": [{"station", "label", "unit", "last"}], "bottleneck": {"station", "reason"} | null}``.
``alerts``
    ``[{"id", "severity", "entity", "text", "since", "cleared"}]``.
``output``
    What the plant draws and makes: see `telemetry.output.Output.words`.
``training``
    How a training stands, its curves, scores and samples: see `telemetry.trainings.account.words`.
``jobs``
    Queue, projects, nodes, hours and spans of a fleet: see `fleet.account.told`.
``absent``
    ``[{"role", "reason", "mend"}]``: what cannot be shown, and why.

A board sends nothing when no page pinged for `SILENCE` seconds, unless a cell runs. It computes nothing.

>>> Board([], panels=["gpus"], title="Nothing yet")
Board(nothing)
"""

import json
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, ClassVar

import anywidget
import traitlets

from aifactory_lab.errors import FactoryError
from aifactory_lab.telemetry.readings import Snapshot
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.widgets import holding
from aifactory_lab.widgets.feeds import Feed, Packet, Role
from aifactory_lab.widgets.kernel import BUSY, cell_id

STATIC = files("aifactory_lab.widgets") / "static"
SILENCE = 20.0
SLOW_SECONDS = 0.9  # between two looks at what changes slowly
PANELS = ("floor", "gpus", "hosts", "throughput", "jobs", "cost", "health")
NOTHING = ("{}", "[]", "null")
Slow = Callable[[], Any]

_BOARDS: "weakref.WeakValueDictionary[str, Board]" = weakref.WeakValueDictionary()


class Board(anywidget.AnyWidget):
    """A live board of some feeds.

    Parameters
    ----------
    feeds
        What is drawn: pairs of a role and a sampler.
    panels
        Which of `PANELS`, from top to bottom, or ``"training"``, which has its own axis.
    quiet
        Samplers whose snapshots the board looks at without drawing them.
    slow
        By message key, a function that returns what changes slowly.
    absent
        What cannot be shown: dicts of role, reason, mend.
    name
        A board of the same name made before is closed.
    """

    _esm = (STATIC / "board.js").read_text(encoding="utf-8")
    _css = (STATIC / "board.css").read_text(encoding="utf-8")
    title = traitlets.Unicode().tag(sync=True)
    panels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    options = traitlets.Dict().tag(sync=True)
    keywords: ClassVar[tuple[str, ...]] = ("title", "name")

    def __init__(
        self,
        feeds: Sequence[tuple[Role, Sampler]] = (),
        *,
        panels: Sequence[str],
        title: str,
        quiet: Sequence[Sampler] = (),
        slow: Mapping[str, Slow] | None = None,
        absent: Sequence[Mapping[str, str]] = (),
        options: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> None:
        self.feeds: list[Feed] = []
        super().__init__(title=title, panels=list(panels), options=dict(options or {}))
        self.feeds = [Feed(index, role, sampler) for index, (role, sampler) in enumerate(feeds)]
        self.absent = [dict(one) for one in absent]
        self._slow = dict(slow or {})
        self._told: dict[str, str] = {}
        self._looked, self._pinged, self._asleep, self._closed = 0.0, -float("inf"), True, False
        self._lock = threading.Lock()
        if name:
            _BOARDS[name] = self
        BUSY.watch()
        self.on_msg(_hear)
        samplers = dict.fromkeys([*(sampler for _, sampler in feeds), *quiet])
        self._ends = [sampler.subscribe(self._on_tick) for sampler in samplers]

    def close(self) -> None:
        """Leave the samplers, end those that only this board began, and say good-bye to the page."""
        if getattr(self, "_closed", True):
            super().close()
            return
        self._closed = True
        for end in self._ends:
            end()
        holding.release(self)
        if self.comm is not None:
            self.send({"k": "end"})
        super().close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.words()})"

    def words(self) -> str:
        """Return what the board shows, in few words that do not change from run to run."""
        return ", ".join(feed.role for feed in self.feeds) or "nothing"

    @property
    def watched(self) -> bool:
        """Whether somebody looks, or may: a page pinged lately, or a cell keeps its pings waiting."""
        return time.monotonic() - self._pinged < SILENCE or (self._pinged > -float("inf") and BUSY.lately(SILENCE))

    def hear(self, content: Mapping[str, Any]) -> None:
        """Answer one message of the page (in the main thread)."""
        kind, self._pinged = content.get("k"), time.monotonic()
        with self._lock:
            if kind == "hello":
                self._greet()
            elif self._asleep:
                self._post([packet for feed in self.feeds for packet in feed.missed()])
            self._asleep = False
        index = content.get("feed")
        if kind == "facts" and isinstance(index, int) and 0 <= index < len(self.feeds):
            self.send({"k": "facts", "feed": index, "facts": self.feeds[index].facts(str(content.get("entity")))})

    def _greet(self) -> None:
        self._told = {}
        self._post([packet for feed in self.feeds for packet in feed.opening()])
        self.send({"k": "extras", "absent": self.absent, **self._news()})

    def _on_tick(self, sampler: Sampler, snapshot: Snapshot) -> None:
        """Send one sample (in the sampler's thread)."""
        if self._closed:
            return
        self.look(sampler, snapshot)
        with self._lock:
            self._asleep = self._asleep or not self.watched
            if self._asleep:
                return
            for feed in self.feeds:
                if feed.sampler.key == sampler.key:
                    feed.sampler = sampler  # one that was begun anew takes the place of the old
                    self._post(feed.tick(snapshot, self._news()))

    def look(self, sampler: Sampler, snapshot: Snapshot) -> None:
        """Look at every snapshot, whether or not it is sent; boards that keep accounts do."""

    def _post(self, packets: Sequence[Packet]) -> None:
        for message, buffers in packets:
            self.send(message, buffers)

    def _news(self) -> dict[str, Any]:
        """Return the slow things that changed since they were told."""
        now, news = time.monotonic(), {}
        due = now - self._looked >= SLOW_SECONDS or not self._told
        self._looked = now if due else self._looked
        for key, read in self._slow.items():
            if not due and self._told.get(key) not in NOTHING:  # what is nothing yet costs nothing to look at
                continue
            value = read()
            told = json.dumps(value)
            if self._told.get(key) != told:
                self._told[key], news[key] = told, value
        return news


def _hear(board: Board, content: Mapping[str, Any], _: Any) -> None:
    """Hand on a message; a function, so that the widget does not hold itself. Anything on a page may send one."""
    if isinstance(content, Mapping):
        board.hear(content)


def replace(name: str) -> str:
    """Close the board that this name, in this cell, had before; return the name to give to the next."""
    full = f"{name}|{cell_id()}"
    before = _BOARDS.get(full)
    if before is not None:
        before.close()
    return full


def refuse(board: str, unknown: Mapping[str, Any], valid: Sequence[str]) -> None:
    """Raise if there are unknown keywords.

    Raises
    ------
    FactoryError
        With the keywords that there are.
    """
    if unknown:
        names = ", ".join(sorted(unknown))
        msg = f"{board} knows no keyword {names}; there are: {', '.join(valid)}"
        raise FactoryError(msg, mend=f"widgets.{board}({valid[0]}=…)")
