"""The board of a training: loss and held-out score over tokens, speed beside the peak, and what the model writes.

Without an argument it shows the newest training of this user on this machine, also one that a later cell begins: the
board in one cell, ``lm.pretrain.run(…)`` in the next. It computes nothing: curves and words come from
`telemetry.trainings`.

>>> import tempfile
>>> from aifactory_lab.telemetry.trainings import TrainingLog
>>> folder = tempfile.mkdtemp()
>>> with TrainingLog(folder, title="doctest", announced=False):
...     board = TrainingBoard(folder)
>>> board
TrainingBoard(1 training)
>>> board.close()
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aifactory_lab.errors import FactoryError
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.trainings.source import TrainingSource
from aifactory_lab.telemetry.trainings.training import read
from aifactory_lab.widgets import defaults
from aifactory_lab.widgets.board import Board, refuse, replace

if TYPE_CHECKING:
    import plotly.graph_objects as go

KEYWORDS = ("source", "title", "name")


class Folder(Protocol):
    """What lies in a folder of its own: the result of a training."""

    folder: Path


Given = str | Path | Folder | TrainingSource | Sampler


class TrainingBoard(Board):
    """One training, live.

    Parameters
    ----------
    source
        A run's folder or its log, the result of a training (its ``folder`` is read), a `TrainingSource`, or a sampler
        of one; by default whatever training began last on this machine.
    title, name
        The heading, and the name under which a later board replaces this one.

    Raises
    ------
    FactoryError
        For an unknown keyword, or a source that is none of these.
    """

    def __init__(self, source: Given | None = None, *, title: str = "Training", name: str = "", **unknown: Any) -> None:
        refuse("TrainingBoard", unknown, KEYWORDS)
        given = _source(source)
        full = replace(name or f"TrainingBoard {given.key}")
        with defaults.Found(self) as found:
            sampler = found.training(given)
            words: dict[str, Callable[[], Any]] = {}
            if isinstance(watched := sampler.source, TrainingSource):
                words = {"training": watched.words}
            super().__init__(found.feeds, panels=["training"], title=title, slow=words, absent=found.absent, name=full)

    def words(self) -> str:
        """Return which training: one that was given, or whichever is the newest."""
        return "the newest training" if self.feeds[0].sampler.key == "training" else "1 training"

    def snapshot(self) -> "go.Figure":
        """Return loss and held-out score as a figure that stays as it is.

        Raises
        ------
        FactoryError
            If there is no training yet.
        """
        from aifactory_lab.figures import pretraining

        source = self.feeds[0].sampler.source
        log = source.log if isinstance(source, TrainingSource) else None
        if log is None:
            msg = "no training has begun yet"
            raise FactoryError(msg, mend="lm.pretrain.run(shards, tokenizer, out)")
        return pretraining.loss(read(log.path))


def _source(given: Given | None) -> TrainingSource | Sampler:
    if given is None or isinstance(given, str | Path):
        return TrainingSource(given)
    if isinstance(given, TrainingSource | Sampler):
        return given
    if (folder := getattr(given, "folder", None)) is not None:
        return TrainingSource(folder)
    msg = f"TrainingBoard cannot show {given!r}: it is no folder, log, result or source of a training"
    raise FactoryError(msg, mend="widgets.TrainingBoard(lm.pretrain.run(…))")
