"""Three scaling laws, measured: loss against training, accuracy against tuning, accuracy against answering.

A sweep of small trainings is fitted, a larger one predicted before it is trained, and a law becomes a plan: GPU-hours,
energy and dollars on a plant of the twin. Rooms open when they are first entered.

>>> from aifactory_lab import laws
>>> laws.chinchilla.EPOCH.loss(70e9, 1.4e12).round(2)
np.float64(1.97)
"""

from importlib import import_module
from types import ModuleType

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


def __getattr__(name: str) -> ModuleType:
    """Open a room on first use (PEP 562)."""
    if name in __all__:
        return import_module(f"aifactory_lab.laws.{name}")
    msg = f"laws has no room {name!r}; there are: {', '.join(__all__)}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
