"""Measured servings of language models, and what the twin says of each: read, cleaned and compared.

They are those that AIConfigurator 0.12 brings along (``silicon_sample.csv`` in PyPI's aiconfigurator-core, Apache-2.0):
model, GPU, engine, lengths and concurrency, with the mean TTFT and TPOT. Rows that cannot be are marked by rules that
ask physics, not the fitted model. What is fitted to which of them is for `calibration` to say.

>>> SYSTEMS["h200_sxm"], RULES[1]
('h200-sxm', "a model of the table; no precision given means the checkpoint's 16 bits")
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import hardware, inference, measurements, models, step_costs
from aifactory_lab.twin.step_costs import Parameters

FILE = "silicon_sample.csv"
SYSTEMS = {"h100_sxm": "h100-sxm", "h200_sxm": "h200-sxm", "b200_sxm": "b200-sxm", "b300_sxm": "b300-sxm"}
SYSTEMS |= {"gb200": "gb200", "gb300": "gb300", "gb200_sxm": "gb200", "gb300_sxm": "gb300", "a100_sxm": "a100-80"}
CACHED = 0.6  # of the dense peak: no engine here reaches half of it with prompts that it does read
# In the source of rows that NVIDIA swept with a client of its own, which tells neither how requests start nor whether
# lengths vary. The others are InferenceX's: ten requests a place, all places start at once, lengths vary at random.
SWEPT = "aic-auto-gap-analysis"
DUPLICATE = ("system", "backend", "backend_version", "precision", "tp_size", "batch_size", "isl", "osl")
SERIES = ("model_path", "system", "backend", "backend_version", "precision")
RULES = (
    "served by one replica (agg), tensor parallel up to 8 GPUs, no data-parallel attention, experts on just those GPUs",
    "a model of the table; no precision given means the checkpoint's 16 bits",
    "the same measurement listed under two names counts once",
    "no row faster than its bytes at the data sheet's bandwidth",
    f"no series in which a row's prompts and answers would need more than {CACHED:.0%} of the dense peak:"
    " its prompts came from a cache",
)


def rows(path: Path | str | None = None) -> pl.DataFrame:
    """Return the measurements that can be compared.

    Parameters
    ----------
    path
        The file; by default see `measurements.find`.

    Returns
    -------
    polars.DataFrame
        The file's columns, with `model` as it is called here, `client` (``"inferencex"`` or ``"swept"``), and `why`,
        which is empty or says why a row is left out.

    Raises
    ------
    TwinError
        If the file is not there.
    """
    found = Path(path) if path else measurements.find(FILE)
    if not found.is_file():
        msg = f"{found} is not there"
        raise TwinError(msg, mend="aifactory twin measurements")
    table = pl.read_csv(found, infer_schema_length=None).filter(
        pl.col("mode") == "agg",
        _one("attention_dp_size") <= 1,
        pl.col("tp_size") <= 8,
        _one("moe_tp_size") * _one("moe_ep_size") <= pl.col("tp_size"),
        pl.col("model_path").is_in(list(names())),
        pl.col("system").is_in(list(SYSTEMS)),
    )
    swept = pl.col("silicon_data_source").cast(pl.String).str.contains(SWEPT).fill_null(value=False)
    shaped = table.with_columns(
        pl.col("precision").fill_null("bf16"),
        model=pl.col("model_path").replace_strict(names(), return_dtype=pl.String),
        client=pl.when(swept).then(pl.lit("swept")).otherwise(pl.lit("inferencex")),
    )
    return shaped.with_columns(why=_why(shaped))


def predicted(table: pl.DataFrame, parameters: Parameters) -> pl.DataFrame:
    """Return the rows with what is predicted of each.

    `tpot` and `ttft` are in seconds, `error` and `ttft_error` predicted ÷ measured - 1, `held` says whether the memory
    holds all requests at once.
    """
    tpot, ttft, batch = (np.empty(len(table)) for _ in range(3))
    for index, call in calls(table):
        found = call(parameters)
        tpot[index], ttft[index], batch[index] = found.tpot, found.ttft, found.batch
    made = table.with_columns(tpot=pl.Series(tpot), ttft=pl.Series(ttft), held=pl.col("batch_size") <= pl.Series(batch))
    return made.with_columns(
        error=pl.col("tpot") * 1e3 / pl.col("silicon_tpot_ms") - 1,
        ttft_error=pl.col("ttft") * 1e3 / pl.col("silicon_ttft_ms") - 1,
    )


def report(table: pl.DataFrame, by: Sequence[str] = ("system", "model")) -> pl.DataFrame:
    """Return the errors of `predicted` rows by group.

    Of TPOT, the mean and the median of the absolute error, and the median with its sign; of TTFT the last two.
    """
    size, first = pl.col("error").abs(), pl.col("ttft_error")
    figures = {"rows": pl.len(), "mean": size.mean(), "median": size.median(), "bias": pl.col("error").median()}
    figures |= {"ttft_median": first.abs().median(), "ttft_bias": first.median()}
    return table.group_by(by).agg(**figures).sort(by)


Call = Callable[[Parameters], inference.Prediction]


def calls(table: pl.DataFrame) -> list[tuple[NDArray[np.int64], Call]]:
    """Return, for each model, GPU, format and engine, the rows' numbers and what predicts them all at once."""
    groups = table.with_row_index("row").group_by("model", "system", "precision", "backend", maintain_order=True)
    return [(part["row"].to_numpy().astype(np.int64), _call(part)) for _, part in groups]


@cache
def names() -> dict[str, str]:
    """Return the models' names here by their names in the file."""
    return {alias: name for name, config in models.table().items() for alias in config["aliases"]}


def _one(column: str) -> pl.Expr:
    """Return a number of GPUs, 1 where the file says nothing."""
    return pl.col(column).cast(pl.Int64).fill_null(1)


def _call(part: pl.DataFrame) -> Call:
    model, system, precision, engine = part.select("model", "system", "precision", "backend").row(0)
    gpu = hardware.gpu(SYSTEMS[system])
    columns = {"tp": "tp_size", "isl": "isl", "osl": "osl", "concurrency": "batch_size"}
    sizes = {name: part[column].to_numpy() for name, column in columns.items()}

    def call(parameters: Parameters) -> inference.Prediction:
        return inference.predict(model, gpu, **sizes, precision=precision, engine=engine, parameters=parameters)

    return call


def _why(table: pl.DataFrame) -> pl.Series:
    """Say why a row is left out: which of the last three of `RULES` it breaks."""
    floor, work = np.full(len(table), np.nan), np.full(len(table), np.nan)
    ideal = Parameters(1.0, 1.0, 1.0)
    for index, call in calls(table):
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
