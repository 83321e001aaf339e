"""Fit the efficiencies to measured servings, and say how well they hold where the fit did not look.

The measurements are those that AIConfigurator 0.12 brings along (``silicon_sample.csv`` in PyPI's aiconfigurator-core,
Apache-2.0): model, GPU, engine, lengths and concurrency, with the mean TTFT and TPOT. Eight figures are fitted on H100
alone, seven on dense models and then one on mixtures of experts; every other GPU is held out. Rows that cannot be are
left out by rules that ask physics, not the model. This module does not choose the model's form.

>>> from aifactory_lab.twin.inference import fitted
>>> fitted().provenance["fit"], sorted(fitted().parameters.__dict__)[:2]
('system = h100_sxm', ['attention', 'burst'])
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.aside import write_text
from aifactory_lab.datasets import places
from aifactory_lab.errors import TwinError
from aifactory_lab.twin import hardware, inference, models, step_costs
from aifactory_lab.twin.step_costs import Numbers, Parameters
from aifactory_lab.workspace import file_hash

FILE = "silicon_sample.csv"
SYSTEMS = {"h100_sxm": "h100-sxm", "h200_sxm": "h200-sxm", "b200_sxm": "b200-sxm", "b300_sxm": "b300-sxm"}
SYSTEMS |= {"gb200": "gb200", "gb300": "gb300", "gb200_sxm": "gb200", "gb300_sxm": "gb300", "a100_sxm": "a100-80"}
FIT_ON = "h100_sxm"
START = Parameters(0.85, 0.7, 0.3, 40e-6, 10e-6, 8e-6, burst=0.5)
DENSE = ("memory", "compute", "attention", "layer_seconds", "sequence_seconds", "hop_seconds", "burst")
MOE = ("expert_layer_seconds",)
BOUNDS: dict[str, tuple[float, float]] = {
    "memory": (0.3, 1),
    "compute": (0.2, 1),
    "attention": (0.03, 1),
    "burst": (0, 1),
}
BOUNDS |= {"layer_seconds": (0, 3e-4), "sequence_seconds": (0, 1e-4), "hop_seconds": (0, 6e-5)}
BOUNDS |= {"expert_layer_seconds": (0, 5e-4)}
ROBUST = 0.3  # errors beyond a third count linearly
CACHED = 0.6  # of the dense peak: no engine here reaches half of it with prompts that it does read
LIGHT = 4  # concurrency up to which TTFT is a request's own
DUPLICATE = ("system", "backend", "backend_version", "precision", "tp_size", "batch_size", "isl", "osl")
SERIES = ("model_path", "system", "backend", "backend_version", "precision")
RULES = (
    "served by one replica (agg), tensor parallel up to 8 GPUs, no data-parallel attention, experts on those GPUs",
    "a model of the table; no precision given means the checkpoint's 16 bits",
    "the same measurement listed under two names counts once",
    "no row faster than its bytes at the data sheet's bandwidth",
    f"no series in which a row's prompts and answers would need more than {CACHED:.0%} of the dense peak:"
    " its prompts came from a cache",
)


def rows(path: Path | str | None = None) -> pl.DataFrame:
    """Return the measurements that can be compared, with a column `why` that is empty or says why a row is left out.

    Parameters
    ----------
    path
        The file; by default it is looked for under ``$AIFACTORY_DATA``.

    Raises
    ------
    TwinError
        If it is not there.
    """
    found = Path(path) if path else next(places.candidates(FILE), None)
    if found is None or not found.is_file():
        msg = f"{found or FILE} is not there (looked for under ${places.VARIABLE})"
        raise TwinError(msg, mend="pip download aiconfigurator-core==0.12.0 --no-deps; unzip its systems/" + FILE)
    table = pl.read_csv(found, infer_schema_length=None).filter(
        pl.col("mode") == "agg",
        pl.col("attention_dp_size").cast(pl.Int64).fill_null(1) <= 1,
        pl.col("tp_size") <= 8,
        pl.col("moe_ep_size").cast(pl.Int64).fill_null(1) <= 8,
        pl.col("model_path").is_in(list(_names())),
        pl.col("system").is_in(list(SYSTEMS)),
    )
    shaped = table.with_columns(
        pl.col("precision").fill_null("bf16"),
        model=pl.col("model_path").replace_strict(_names(), return_dtype=pl.String),
    )
    return shaped.with_columns(why=_why(shaped))


def fit(table: pl.DataFrame) -> Parameters:
    """Fit the efficiencies to the rows given: first on dense models, then the mixtures' one with the others held.

    Soft-L1 least squares on the logarithm of TPOT; then two medians of what TTFT has beyond prefill and step: at a
    concurrency of up to 4 in seconds, above it as a share of the others' prefills.

    Raises
    ------
    TwinError
        If no dense row is left.
    """
    dense = table["model"].replace_strict(_experts(), return_dtype=pl.Int64) == 0
    if not dense.any():
        msg = f"none of the {len(table)} rows is of a dense model"
        raise TwinError(msg, mend='calibration.fit(rows.filter(pl.col("system") == "h100_sxm"))')
    found = _least_squares(table.filter(dense), START, DENSE)
    if not dense.all():
        found = _least_squares(table.filter(~dense), found, MOE)
    return _first_tokens(table, found)


def predicted(table: pl.DataFrame, parameters: Parameters) -> pl.DataFrame:
    """Return the rows with `tpot` and `ttft` in seconds as predicted, and `error`: predicted ÷ measured TPOT - 1."""
    tpot, ttft = np.empty(len(table)), np.empty(len(table))
    for index, call in _calls(table):
        found = call(parameters)
        tpot[index], ttft[index] = found.tpot, found.ttft
    measured = table["silicon_tpot_ms"].to_numpy() / 1e3
    return table.with_columns(tpot=pl.Series(tpot), ttft=pl.Series(ttft), error=pl.Series(tpot / measured - 1))


def report(table: pl.DataFrame, by: Sequence[str] = ("system", "model")) -> pl.DataFrame:
    """Return the errors of `predicted` rows by group: rows, mean and median of the absolute error, and the bias."""
    size = pl.col("error").abs()
    figures = {"rows": pl.len(), "mean": size.mean(), "median": size.median(), "bias": pl.col("error").median()}
    return table.group_by(by).agg(**figures).sort(by)


def bands(table: pl.DataFrame) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the 10th and 90th percentile of measured ÷ predicted, for dense models and for mixtures of experts."""
    moe = table["model"].replace_strict(_experts(), return_dtype=pl.Int64) > 0
    found = {}
    for kind, part in (("dense", table.filter(~moe)), ("moe", table.filter(moe))):
        ratios = {
            name: part[f"silicon_{name}_ms"].to_numpy() / 1e3 / part[name].to_numpy() for name in ("tpot", "ttft")
        }
        found[kind] = {name: _between(ratio) for name, ratio in ratios.items()}
    return found


def refit(path: Path | str | None = None, *, to: Path | str = inference.FITTED) -> pl.DataFrame:
    """Fit on H100, write the parameters with their provenance, and return the errors on what was held out."""
    every = rows(path)
    kept = every.filter(pl.col("why") == "")
    found = fit(kept.filter(pl.col("system") == FIT_ON))
    after = predicted(kept, found)
    held = after.filter(pl.col("system") != FIT_ON)
    left = every.filter(pl.col("why") != "")["why"].value_counts(sort=True).rows()
    source = Path(path) if path else next(places.candidates(FILE))
    provenance = {
        "file": f"{FILE} of aiconfigurator-core 0.12.0 (PyPI, Apache-2.0)",
        "sha256": file_hash(source),
        "fit": f"system = {FIT_ON}",
        "rows": {
            "compared": len(every),
            "left out": dict(left),
            "fitted on": len(after) - len(held),
            "held out": len(held),
        },
        "filter": list(RULES),
        "date": datetime.now(UTC).date().isoformat(),
        "refit": "python -c 'from aifactory_lab.twin import calibration; print(calibration.refit())'",
    }
    outcome = report(held)
    figures = {name: float(f"{value:.4g}") for name, value in asdict(found).items()}
    told = {"parameters": figures, "bands": bands(held), "provenance": provenance, "held_out": outcome.to_dicts()}
    write_text(Path(to), json.dumps(told, indent=1) + "\n")
    return outcome


@cache
def _names() -> dict[str, str]:
    return {alias: name for name, config in models.table().items() for alias in config["aliases"]}


@cache
def _experts() -> dict[str, int]:
    return {name: models.model(name).experts for name in models.names()}


Call = Callable[[Parameters], inference.Prediction]


def _calls(table: pl.DataFrame) -> list[tuple[NDArray[np.int64], Call]]:
    """Return, for each model, GPU, format and engine, the rows' numbers and what predicts them all at once."""
    groups = table.with_row_index("row").group_by("model", "system", "precision", "backend", maintain_order=True)
    return [(part["row"].to_numpy().astype(np.int64), _call(part)) for _, part in groups]


def _call(part: pl.DataFrame) -> Call:
    model, system, precision, engine = part.select("model", "system", "precision", "backend").row(0)
    gpu = hardware.gpu(SYSTEMS[system])
    names = {"tp": "tp_size", "isl": "isl", "osl": "osl", "concurrency": "batch_size"}
    sizes = {name: part[column].to_numpy() for name, column in names.items()}

    def call(parameters: Parameters) -> inference.Prediction:
        return inference.predict(model, gpu, **sizes, precision=precision, engine=engine, parameters=parameters)

    return call


def _least_squares(table: pl.DataFrame, start: Parameters, names: Sequence[str]) -> Parameters:
    from scipy.optimize import least_squares

    calls, target = _calls(table), np.log(table["silicon_tpot_ms"].to_numpy() / 1e3)
    # Each figure is fitted as a multiple of where it starts, so that none outweighs another by its unit.
    scale = np.array([getattr(start, name) or 2e-5 for name in names])

    def errors(factors: Numbers) -> Numbers:
        parameters = replace(start, **dict(zip(names, factors * scale, strict=True)))
        found = np.empty(len(target))
        for index, call in calls:
            found[index] = call(parameters).tpot
        return np.log(found) - target

    low, high = (np.array([BOUNDS[name][end] for name in names]) / scale for end in (0, 1))
    solved = least_squares(errors, np.ones(len(names)), bounds=(low, high), loss="soft_l1", f_scale=ROBUST)
    return replace(start, **dict(zip(names, (solved.x * scale).tolist(), strict=True)))


def _first_tokens(table: pl.DataFrame, parameters: Parameters) -> Parameters:
    """Add what TTFT says; SGLang's is left out, for `burst` says it already."""
    part = table.filter(pl.col("backend") != "sglang")
    bare, waved = (predicted(part, replace(parameters, first_token_seconds=0.0, wave=wave)) for wave in (0.0, 1.0))
    beyond = part["silicon_ttft_ms"].to_numpy() / 1e3 - bare["ttft"].to_numpy()
    light = part["batch_size"].to_numpy() <= LIGHT
    first = max(0.0, float(np.median(beyond[light]))) if light.any() else 0.0
    others = (waved["ttft"] - bare["ttft"]).to_numpy()
    heavy = ~light & (others > 0)
    wave = float(np.median((beyond[heavy] - first) / others[heavy])) if heavy.any() else 0.0
    return replace(parameters, first_token_seconds=first, wave=float(np.clip(wave, 0, 1)))


def _why(table: pl.DataFrame) -> pl.Series:
    """Say why a row is left out: which of the last three of `RULES` it breaks."""
    floor, work = np.full(len(table), np.nan), np.full(len(table), np.nan)
    ideal = Parameters(1.0, 1.0, 1.0)
    for index, call in _calls(table):
        part = table[index]
        model, gpu = inference.known(part["model"][0], SYSTEMS[part["system"][0]])
        kind = {"precision": part["precision"][0], "engine": part["backend"][0]}
        costs = step_costs.of(model, gpu, tp=part["tp_size"].to_numpy(), parameters=ideal, **kind)
        tokens = (part["isl"] + part["osl"]).to_numpy()
        floor[index] = costs.reading(call(ideal).batch, (part["isl"] + part["osl"] / 2).to_numpy()) * 1e3
        cycle = (part["silicon_ttft_ms"] + part["osl"] * part["silicon_tpot_ms"]).to_numpy() / 1e3
        work[index] = part["batch_size"].to_numpy() * tokens / cycle * costs.compute_seconds
    marked = table.with_columns(floor=pl.Series(floor), work=pl.Series(work))
    again = pl.struct(*DUPLICATE, "model", "silicon_ttft_ms", "silicon_tpot_ms").is_first_distinct().not_()
    return marked.select(
        pl.when(again)
        .then(pl.lit("listed twice"))
        .when(pl.col("silicon_tpot_ms") < pl.col("floor"))
        .then(pl.lit("faster than its bytes"))
        .when(pl.col("work").max().over(SERIES) > CACHED)
        .then(pl.lit("prompts from a cache"))
        .otherwise(pl.lit(""))
    ).to_series()


def _between(ratio: Numbers) -> tuple[float, float]:
    low, high = np.quantile(ratio[np.isfinite(ratio)], (0.1, 0.9))
    return round(float(low), 3), round(float(high), 3)
