"""The plant's twin: what a plant would do, draw and cost, from formulas whose errors are shown beside their numbers.

Its rooms open when they are first entered; none needs a GPU, a scheduler or the network.

>>> from aifactory_lab import twin
>>> twin.hardware.gpu("b200-sxm").memory_gib
180.0
"""

from importlib import import_module
from types import ModuleType

__all__ = [
    "activity",
    "alternatives",
    "calibration",
    "chip",
    "climate",
    "collectives",
    "cooling",
    "cost",
    "design",
    "efficiencies",
    "fabric",
    "grid",
    "hall",
    "hardware",
    "inference",
    "loads",
    "measurements",
    "mirror",
    "models",
    "operations",
    "outcome",
    "parts",
    "peers",
    "plant",
    "power",
    "routes",
    "sampling",
    "service",
    "serving",
    "silicon",
    "site",
    "steady_racks",
    "step_costs",
    "supply",
    "sweep",
    "traces",
    "training",
    "usd",
    "validation",
]


def __getattr__(name: str) -> ModuleType:
    """Open a room on first use (PEP 562)."""
    if name in __all__:
        return import_module(f"aifactory_lab.twin.{name}")
    msg = f"the twin has no room {name!r}; there are: {', '.join(__all__)}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
