"""Load tests: what a service gives under load, and what it cannot hide.

`test` asks a service of predictions and gives a `LoadReport`; `tokens` asks a server of language models, closed or open
loop, and gives a `TokenReport`; `sweep` and `pareto` do so at several concurrencies.

>>> from aifactory_lab.serve import load
>>> load.LoadReport.of([[0.0, 0.010, 200], [0.5, 0.030, 200]], slo_ms=20).throughput > 0
True
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.serve.load import arrivals, prompts
    from aifactory_lab.serve.load.arrivals import Arrivals
    from aifactory_lab.serve.load.generation import pareto, tokens
    from aifactory_lab.serve.load.predictions import Body, LoadReport, frame, make_bodies, sweep, test
    from aifactory_lab.serve.load.summary import Distribution, Slo
    from aifactory_lab.serve.load.token_report import TokenReport

__all__ = [
    "Arrivals",
    "Body",
    "Distribution",
    "LoadReport",
    "Slo",
    "TokenReport",
    "arrivals",
    "frame",
    "make_bodies",
    "pareto",
    "prompts",
    "sweep",
    "test",
    "tokens",
]
_HOMES = {
    "Arrivals": "arrivals",
    "Body": "predictions",
    "Distribution": "summary",
    "LoadReport": "predictions",
    "Slo": "summary",
    "TokenReport": "token_report",
    "frame": "predictions",
    "make_bodies": "predictions",
    "pareto": "generation",
    "sweep": "predictions",
    "test": "predictions",
    "tokens": "generation",
}

# The clients' process, which passes here, shall start at once.
__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
