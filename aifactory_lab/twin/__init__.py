"""The plant's twin: what a plant would do, draw and cost, from formulas whose errors are shown beside their numbers.

Its rooms open when they are first entered; none needs a GPU, a scheduler or the network.

>>> from aifactory_lab import twin
>>> twin.hardware.gpu("b200-sxm").memory_gib
180.0
"""

from aifactory_lab.doors import lazy

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
    "measured_links",
    "measurements",
    "mirror",
    "models",
    "offload",
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

__getattr__, __dir__ = lazy(__name__, __all__)
