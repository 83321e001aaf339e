"""What else could serve the same requests: the best that each chassis can do, whatever its cap, cooling and replicas.

A sweep of some 300,000 designs, less than a second on a core. What a design itself does is `design`'s to say.

>>> from aifactory_lab.twin.design import Service, evaluate
>>> from aifactory_lab.twin.plant import Plant
>>> found = evaluate(Plant(gpus=72, chassis="gb200-nvl72"), Service(requests_per_second=50))
>>> best = front(found, chassis=["dgx-h100", "gb200-nvl72"], water_celsius=[40], rejection=["tower"])
>>> best["chassis"].unique().sort().to_list(), asked(found)
(['dgx-h100', 'gb200-nvl72'], ('llama-3-70b', 1024, 256))
"""

from collections.abc import Iterable
from typing import Any

import polars as pl

from aifactory_lab.twin import sweep
from aifactory_lab.twin.outcome import Outcome

AXES = ("chassis", "rejection", "water_celsius", "concurrency", "cap_share")  # those of `sweep.GRID`
PRECISIONS, SIZES = ("bf16", "fp8", "fp4"), (1, 2, 4, 8, 16, 32)


def asked(outcome: Outcome) -> tuple[str, float, float]:
    """Return what any other design would have to serve: the model, and the tokens of prompts and answers."""
    return outcome.service.shape.name, outcome.service.isl, outcome.service.osl


def front(outcome: Outcome, **axes: Iterable[Any]) -> pl.DataFrame:
    """Return the best that each chassis can do for the same requests: TPOT against tokens per second and MW.

    Parameters
    ----------
    **axes
        Values to sweep over in place of the usual ones; see `sweep.GRID`.

    Returns
    -------
    polars.DataFrame
        Of `sweep.pareto`, by chassis, with the bands of held-out measurements.

    Raises
    ------
    TwinError
        If there is no such axis or value.
    """
    model, isl, osl = asked(outcome)
    usual: dict[str, Iterable[Any]] = {name: sweep.GRID[name] for name in AXES}
    usual |= {"precision": PRECISIONS, "tp": SIZES, "model": [model], "isl": [isl], "osl": [osl]}
    return sweep.pareto(sweep.sweep(usual | axes), by=["chassis"])
