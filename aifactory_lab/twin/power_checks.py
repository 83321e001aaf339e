"""Checks of what GPUs draw while they serve: ten measurements that others published, beside what `activity` says.

Their sources and conditions stand in `data/serving_power.toml`; where a source does not say how long prompts are, that
is guessed, and said. They were in sight when `activity`'s weights were chosen: passing shows that the form fits.

>>> [check.name for check in CHECKS]
['Power of GPUs that serve: mean error', 'Power of an H100 with one sequence']
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.twin import hardware, inference, models, step_costs
from aifactory_lab.twin.activity import steady
from aifactory_lab.twin.checks import Check
from aifactory_lab.twin.shape import Model

FILE = Path(__file__).with_name("data") / "serving_power.toml"
NOTE = "weights of activity were chosen with these in sight; lengths of prompts are partly guessed"


@cache
def _told() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


def table() -> pl.DataFrame:
    """Return each measurement with ours.

    Columns: ``gpu``, ``model``, ``precision``, ``tp``, ``isl``, ``osl``, ``batch``, ``watts``, ``ours``, ``error``
    (relative), ``guessed`` (which of them the source does not say), ``source``.
    """
    rows = []
    for row in _told()["measured"]:
        ours = watts(**{name: row[name] for name in ("gpu", "model", "precision", "tp", "isl", "osl", "batch")})
        kept = {name: value for name, value in row.items() if name not in {"by", "guessed"}}
        guessed = ", ".join(row["guessed"])
        figures = {"ours": ours, "error": ours / row["watts"] - 1, "guessed": guessed}
        rows.append(kept | figures | {"source": _told()["sources"][row["by"]]})
    return pl.DataFrame(rows)


def watts(*, gpu: str, model: str, precision: str, tp: int, isl: float, osl: float, batch: float) -> float:
    """Return a GPU's mean power while its replica keeps so many requests."""
    chip, shape = hardware.gpu(gpu), _shape(model)
    seen = inference.predict(shape, chip, tp=tp, isl=isl, osl=osl, concurrency=batch, precision=precision)
    costs = step_costs.of(shape, chip, tp=tp, precision=precision, parameters=inference.fitted().parameters)
    return float(steady(costs, seen.batch, seen.requests_per_second, isl=isl, osl=osl).watts(chip))


def _shape(name: str) -> Model:
    own = _told()["shape"].get(name)
    return models.from_config(own, name=name) if own else models.model(name)


def _mean_error() -> float:
    return float(table().select(pl.col("error").abs().mean()).item())


def _alone() -> float:
    return watts(gpu="h100-sxm", model="llama-3-70b", precision="bf16", tp=4, isl=200, osl=400, batch=1)


CHECKS = (
    Check(
        "Power of GPUs that serve: mean error",
        "mean |error|",
        f"ten measurements of H100, H200 and B200: {FILE.name}",
        0.0,
        _mean_error,
        0.16,
        seen=True,
        note=NOTE,
    ),
    Check(
        "Power of an H100 with one sequence",
        "W",
        "ML.ENERGY's benchmark v3, as vllm-semantic-router.com/docs/fleet-sim/power-model cites it",
        300.0,
        _alone,
        0.15,
        seen=True,
        note="a model of 70 billion parameters on four GPUs; the source does not say which model",
    ),
)
