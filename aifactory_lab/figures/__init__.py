"""Pictures: pure functions, data in, `plotly.graph_objects.Figure` out.

Rooms open when they are first entered; nothing here computes, and nothing here knows a widget.

>>> from aifactory_lab import figures
>>> figures.theme.COLOURS[0]
'#0072B2'
"""

from importlib import import_module
from types import ModuleType

__all__ = [
    "boards",
    "card",
    "curation",
    "design",
    "factory",
    "finetuning",
    "fleet",
    "hall",
    "laws",
    "mirror",
    "operations",
    "plant",
    "pretraining",
    "quality",
    "rackvalues",
    "runs",
    "scaling",
    "search",
    "serving",
    "theme",
    "tokens",
    "training",
]


def __getattr__(name: str) -> ModuleType:
    """Open a room on first use (PEP 562)."""
    if name in __all__:
        return import_module(f"aifactory_lab.figures.{name}")
    msg = f"figures has no room {name!r}; there are: {', '.join(__all__)}"
    raise AttributeError(msg)
