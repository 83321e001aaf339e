"""Trainings that are watched: a log that each writes, what can be read from it, and a source that boards follow.

>>> from aifactory_lab.telemetry import trainings
>>> trainings.Step(step=1, steps=10, tokens=1024, loss=7.6, learning_rate=1e-3).loss
7.6
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.telemetry.trainings.entries import Sample, Score, Step
    from aifactory_lab.telemetry.trainings.found import newest
    from aifactory_lab.telemetry.trainings.log import TrainingLog, keep
    from aifactory_lab.telemetry.trainings.source import TrainingSource
    from aifactory_lab.telemetry.trainings.training import Training, read

_HOMES = {
    "Sample": "entries",
    "Score": "entries",
    "Step": "entries",
    "Training": "training",
    "TrainingLog": "log",
    "TrainingSource": "source",
    "keep": "log",
    "newest": "found",
    "read": "training",
}
__all__ = ["Sample", "Score", "Step", "Training", "TrainingLog", "TrainingSource", "keep", "newest", "read"]

__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
