"""Fit the efficiencies to measured servings, and say how well they hold where the fit did not look.

All are fitted on H100 alone, nine on TPOT of dense models, one on TPOT of mixtures of experts and two on TTFT; every
other GPU is held out. None may be better than a bare kernel's. What the measurements are is `silicon`'s to say; this
module does not choose the model's form.

>>> from aifactory_lab.twin.inference import fitted
>>> fitted().provenance["fit"], sorted(fitted().parameters.__dict__)[:2]
('system = h100_sxm', ['attention', 'burst'])
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aifactory_lab.aside import write_text
from aifactory_lab.errors import TwinError
from aifactory_lab.twin import inference, measurements, models, silicon
from aifactory_lab.twin.silicon import FILE, RULES, SYSTEMS, predicted, report, rows
from aifactory_lab.twin.step_costs import Numbers, Parameters
from aifactory_lab.workspace import file_hash

__all__ = ["FILE", "RULES", "SYSTEMS", "bands", "fit", "left_out", "predicted", "refit", "report", "rows"]

FIT_ON = "h100_sxm"
START = Parameters(0.85, 0.7, 0.3, 40e-6, 10e-6, 8e-6, 0.5, elementwise=0.6, compiled_sequence_seconds=10e-6)
DENSE = (
    *("memory", "compute", "attention", "elementwise"),
    *("layer_seconds", "sequence_seconds", "compiled_sequence_seconds", "hop_seconds", "burst"),
)
MOE = ("expert_layer_seconds",)
# No engine is better than bare kernels: Vidur's profiles of H100 (microsoft/vidur 7d475133, MIT) have matrices read
# at 0.92 of the bandwidth and multiplied at 0.87 of the peak; FlashAttention-3 reaches 0.75 (arXiv 2407.08608).
BOUNDS: dict[str, tuple[float, float]] = {
    "memory": (0.3, 0.92),
    "compute": (0.2, 0.87),
    "attention": (0.03, 0.75),
    "elementwise": (0.1, 0.92),
    "burst": (0, 1),
}
BOUNDS |= {"layer_seconds": (0, 3e-4), "sequence_seconds": (0, 1e-4), "hop_seconds": (0, 6e-5)}
BOUNDS |= {"expert_layer_seconds": (0, 5e-4), "compiled_sequence_seconds": (0, 1e-4)}
BOUNDS |= {"first_token_seconds": (0, 1), "wave": (0, 1)}
UNIT = 2e-5  # seconds: the step of a search where a figure starts at nought
ROBUST = 0.3  # errors beyond a third count linearly


def fit(table: pl.DataFrame) -> Parameters:
    """Fit the efficiencies to the rows given.

    Soft-L1 least squares on logarithms: of TPOT on dense models, then of TPOT on mixtures with the others held, then of
    TTFT where the memory holds all requests. TTFT depends on the client, so it is fitted to those of InferenceX, whose
    lengths vary as people's do; SGLang's is left out, for `burst` says it already.

    Raises
    ------
    TwinError
        If no dense row is left.
    """
    dense = ~_mixture(table)
    if not dense.any():
        msg = f"none of the {len(table)} rows is of a dense model"
        raise TwinError(msg, mend='calibration.fit(rows.filter(pl.col("system") == "h100_sxm"))')
    found = _least_squares(table.filter(dense), START, DENSE)
    if not dense.all():
        found = _least_squares(table.filter(~dense), found, MOE)
    spread = predicted(table.filter(pl.col("backend") != "sglang", pl.col("client") == "inferencex"), found)
    spread = spread.filter("held").drop("tpot", "ttft", "held", "error", "ttft_error")
    start = replace(found, first_token_seconds=0.05, wave=0.05)
    return _least_squares(spread, start, ("first_token_seconds", "wave"), of="ttft") if len(spread) else found


def left_out(table: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return the errors on each model, or each system, of a fit that saw all rows but those.

    Parameters
    ----------
    by
        ``"model"`` or ``"system"``. Without a model, the fit is on `FIT_ON` and so are the errors; without a system, it
        is on all others.

    Returns
    -------
    polars.DataFrame
        As `report`, with `left_out` saying what it is that the fit did not see.
    """
    seen = table.filter(pl.col("system") == FIT_ON) if by == "model" else table
    found = []
    for name in seen[by].unique().sort():
        others, own = seen.filter(pl.col(by) != name), seen.filter(pl.col(by) == name)
        found.append(report(predicted(own, fit(others)), by=[by]).rename({by: "name"}))
    return pl.concat(found).select(pl.lit(by).alias("left_out"), pl.all())


def bands(table: pl.DataFrame) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the 10th and 90th percentile of measured ÷ predicted, for dense models and for mixtures of experts.

    TTFT's are of InferenceX's rows, as its fit is.
    """
    moe, spread = _mixture(table), table["client"] == "inferencex"
    found = {}
    for kind, part, first in (("dense", ~moe, ~moe & spread), ("moe", moe, moe & spread)):
        figures = {"tpot": table.filter(part)["error"], "ttft": table.filter(first)["ttft_error"]}
        found[kind] = {name: _between(1 / (1 + error.to_numpy())) for name, error in figures.items()}
    return found


def refit(path: Path | str | None = None, *, to: Path | str = inference.FITTED) -> pl.DataFrame:
    """Fit on H100, write the parameters with their provenance, and return the errors on what was held out."""
    every = rows(path)
    kept = every.filter(pl.col("why") == "")
    found = fit(kept.filter(pl.col("system") == FIT_ON))
    held = predicted(kept.filter(pl.col("system") != FIT_ON), found)
    figures = {name: float(f"{value:.4g}") for name, value in asdict(found).items()}
    told = {"parameters": figures, "bands": bands(held), "provenance": _provenance(path, every, len(held))}
    outcome, left = (
        _rounded(one) for one in (report(held), pl.concat(left_out(kept, by) for by in ("model", "system")))
    )
    told |= {"held_out": outcome.to_dicts(), "left_out": left.to_dicts()}
    write_text(Path(to), json.dumps(told, indent=1) + "\n")
    return outcome


def _provenance(path: Path | str | None, every: pl.DataFrame, held: int) -> dict[str, Any]:
    why = every.filter(pl.col("why") != "")["why"].value_counts(sort=True).rows()
    counted = {"compared": len(every), "left out": dict(why)}
    kept = len(every) - sum(dict(why).values())
    return {
        "file": f"{FILE}, rows on the systems named here, after aiconfigurator-core 0.12.0 (PyPI, Apache-2.0)",
        "systems": sorted(every["system"].unique()),
        "sha256": file_hash(Path(path) if path else measurements.find(FILE)),
        "fit": f"system = {FIT_ON}",
        "rows": counted | {"fitted on": kept - held, "held out": held},
        "filter": list(RULES),
        "bounds": {name: list(bound) for name, bound in BOUNDS.items()},
        "date": datetime.now(UTC).date().isoformat(),
        "refit": "python -c 'from aifactory_lab.twin import calibration; print(calibration.refit())'",
    }


def _rounded(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.col(pl.Float64).round(4))


@cache
def _experts() -> dict[str, int]:
    return {name: models.model(name).experts for name in models.names()}


def _mixture(table: pl.DataFrame) -> pl.Series:
    return table["model"].replace_strict(_experts(), return_dtype=pl.Int64) > 0


def _least_squares(table: pl.DataFrame, start: Parameters, names: Sequence[str], of: str = "tpot") -> Parameters:
    from scipy.optimize import least_squares

    made, target = silicon.calls(table), np.log(table[f"silicon_{of}_ms"].to_numpy() / 1e3)
    # Each figure is fitted as a multiple of where it starts, so that none outweighs another by its unit.
    scale = np.array([getattr(start, name) or UNIT for name in names])

    def errors(factors: Numbers) -> Numbers:
        parameters = replace(start, **dict(zip(names, factors * scale, strict=True)))
        found = np.empty(len(target))
        for index, call in made:
            found[index] = getattr(call(parameters), of)
        return np.log(found) - target

    low, high = (np.array([BOUNDS[name][end] for name in names]) / scale for end in (0, 1))
    # Several figures end on a bound; "dogbox" walks along them where "trf" creeps.
    how = {"method": "dogbox", "loss": "soft_l1", "f_scale": ROBUST}
    solved = least_squares(errors, np.ones(len(names)), bounds=(low, high), **how)
    return replace(start, **dict(zip(names, (solved.x * scale).tolist(), strict=True)))


def _between(ratio: Numbers) -> tuple[float, float]:
    low, high = np.quantile(ratio[np.isfinite(ratio)], (0.1, 0.9))
    return round(float(low), 3), round(float(high), 3)
