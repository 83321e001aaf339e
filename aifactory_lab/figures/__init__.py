"""Pictures: pure functions, data in, `plotly.graph_objects.Figure` out.

Rooms open when they are first entered; nothing here computes, and nothing here knows a widget.

>>> from aifactory_lab import figures
>>> figures.theme.COLOURS[0]
'#0072B2'
"""

from aifactory_lab.doors import lazy

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
    "links",
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

__getattr__, __dir__ = lazy(__name__, __all__)
