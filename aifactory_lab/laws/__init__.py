"""Three scaling laws, measured: loss against training, accuracy against tuning, accuracy against answering.

A sweep of small trainings is fitted, a larger one predicted before it is trained, and a law becomes a plan: GPU-hours,
energy and dollars on a plant of the twin. Rooms open when they are first entered.

>>> from aifactory_lab import laws
>>> laws.chinchilla.EPOCH.loss(70e9, 1.4e12).round(2)
np.float64(1.97)
"""

from aifactory_lab.doors import lazy

__all__ = [
    "answering",
    "backtest",
    "chinchilla",
    "countdown",
    "demand",
    "law",
    "objective",
    "plan",
    "post_training",
    "runs",
    "study",
    "sweep",
    "test_time",
]

__getattr__, __dir__ = lazy(__name__, __all__)
