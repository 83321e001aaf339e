"""Can cuDF run this query? Answered on a machine without a GPU, with the line that mends what it cannot.

cudf-polars translates a Polars query into cuDF's plan on the CPU and says which nodes it has no equal for; for
several GPUs it says which steps collapse onto one. Both are asked here; nothing is computed. That a query
translates is necessary, not sufficient: types, ties and nulls may still differ, which only a run on a GPU
shows (`make gpu-check` on a machine that has one). Needs the cudf-polars wheel, which installs anywhere.

>>> advise("Temporal function Duration")
"(minutes * 60_000_000).cast(pl.Duration('us')); a literal duration is fine"
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab import datasets
from aifactory_lab.errors import require
from aifactory_lab.etl import recipes, tabular
from aifactory_lab.etl.curation import queries
from aifactory_lab.etl.recipes import Recipe

DEVICE_BYTES = 80 << 30  # of the GPUs planned for; decides only how tables are cut into partitions
PARTITION_BYTES, PARTITION_ROWS = 1 << 20, 1_000  # small, so that small tables are cut too and a collapse shows
VALUE_BYTES = 16  # assumed per value where a footer gives rows only
ONE_GPU = "one GPU only"
RANKS = (0, 2, 8)  # 0: one GPU, in memory
RECIPES: tuple[Callable[[], Recipe], ...] = tuple(recipes.RECIPES.values())


@dataclass(frozen=True)
class Rewrite:
    """What cuDF 26.10 cannot do: how it is written, what the translator says of it, and what to write instead."""

    expression: str
    message: str
    rewrite: str


REWRITES = (
    Rewrite("str.to_datetime(format)", "Strptime cache is a CPU feature", "cache=False (costs the CPU nothing)"),
    Rewrite(
        "pl.duration of a column",
        "Temporal function Duration",
        "(minutes * 60_000_000).cast(pl.Duration('us')); a literal duration is fine",
    ),
    Rewrite(
        "pl.datetime or pl.date of columns",
        "Temporal function DatetimeFunction",
        "pl.concat_str with zfill, then .str.to_datetime(format, cache=False)",
    ),
    Rewrite("dt.offset_by", "Temporal function OffsetBy", "+ pl.duration(hours=1)"),
    Rewrite(
        "dt.truncate to other than 1d, 1h, 1m, 1s",
        "Unsupported bucket",
        "(t.cast(pl.Int64) // N * N).cast(pl.Datetime('us')); dt.month_start() for months",
    ),
    Rewrite("group_by_dynamic", "group_by_dynamic", "dt.truncate('1h'), then group_by"),
    Rewrite(
        "rolling_mean_by and the like",
        "name=RollingFunctionBy",
        "x.mean().rolling(t, period=…) on one GPU; shifts .over(key, order_by=t) of an hourly table on any number",
    ),
    Rewrite(
        "(a - a.shift(1)).over(key)",
        "Broadcasting aggregated expressions",
        "a - a.shift(1).over(key, order_by=t), or a.diff().over(key, order_by=t)",
    ),
    Rewrite("ewm_mean", "name=EwmFunction", "a weighted sum of shifts"),
    Rewrite("interpolate", "name='interpolate'", "forward_fill().over(key, order_by=t)"),
    Rewrite("int_range", "name=RangeFunction", "pl.lit(1).cum_sum() or rank('ordinal'), .over(key, order_by=t)"),
    Rewrite("Python objects in a column", "dtype=Object", "a typed column: text, numbers, times, structs"),
    Rewrite(
        "Categorical, Enum, cut or qcut",
        "conversion not supported",
        "keep String; number it by a join or rank('dense'); cut by when/then, or rank('ordinal') * n // pl.len()",
    ),
    Rewrite(
        "agg(x.filter(…)) or pivot",
        "selection.Filter'> in groupby/rolling",
        "pl.when(mask).then(x).mean() inside agg, one for each pivoted column",
    ),
    Rewrite("corr", "name='corr'", "the moments: means of x, y, x², y² and xy"),
    Rewrite("get(arg_max()) inside agg", "selection.Gather'> in groupby/rolling", "x.sort_by(y).last()"),
    Rewrite(
        "cum_count or mode of groups",
        "unary.UnaryFunction'> in groupby/rolling",
        "a column of ones .cum_sum().over(key); for mode: group_by(key, x).len(), sort, first",
    ),
    Rewrite(
        "join_asof",
        "unhashable type: 'list'",
        "pl.concat of both sides, sort by time, forward_fill().over(key), filter",
    ),
    Rewrite(
        "str.replace with a regular expression",
        "not supported for replace",
        "literal=True, or str.extract; for every match, Series.str.replace of cudf itself",
    ),
    Rewrite(
        "str.extract_all",
        "<Name.ExtractAll:",
        "str.extract or str.count_matches; for every match, Series.str.findall of cudf itself",
    ),
    Rewrite("str.normalize", "<Name.Normalize:", "before the query, on the host; plain ASCII needs none"),
    Rewrite(
        "count_matches of a line feed, literal=True", "Unsupported regex \\ for GPU engine", 'count_matches(r"\\n")'
    ),
    Rewrite(
        "a regular expression with look-around, inline flags, \\p{…} or 1,000 repeats",
        "Unsupported regex",
        "classes such as [^\\W\\d_]; a line feed put before the text instead of (?m)^; x{500}x{500}",
    ),
    Rewrite("str.split", "<Name.Split:", "str.split_exact(by, n), or str.extract"),
    Rewrite("tail", "negative slices", "sort descending, then head"),
    Rewrite("list.mean and the like", "name=ListFunction", "aggregate before the values become a list"),
    Rewrite("arctan2", "name='atan2'", "2 * arcsin(sqrt(h)): the haversine form"),
    Rewrite("shuffle", "name='shuffle'", "sort by pl.col(key).hash(seed)"),
    Rewrite("map_elements or map_batches", "anonymousfunction", "write it in expressions"),
    Rewrite("dt.is_business_day", "business", "dt.weekday() < 6, and a join with the holidays"),
    Rewrite("hive partitions", "Hive", "include_file_paths and str.extract, with hive_partitioning=False"),
    Rewrite("scan_ipc", "ipc scan", "scan_parquet"),
    Rewrite("compressed CSV", "compressed CSV", "Parquet, or CSV as it is"),
    Rewrite("sink_ipc", "sink kind: Ipc", "sink_parquet"),
    Rewrite("sink_parquet(compression_level=…)", "compression_level", "the default level of the compression"),
    Rewrite("sink_parquet(pl.PartitionBy(…))", "Unsupported payload structure", "one sink_parquet for each part"),
)


def advise(message: str) -> str:
    """Return the rewrite for a message of the translator, or an empty text if none is known."""
    return next((known.rewrite for known in REWRITES if known.message in message), "")


def gpu_check(query: Recipe | pl.LazyFrame, *, ranks: int = 0) -> list[str]:
    """Return what cuDF cannot run of a query, each with its rewrite; an empty list when it can run all.

    Parameters
    ----------
    query
        A lazy query, or a recipe, which is checked on the vendored tables together with its sink to Parquet.
    ranks
        Number of GPUs; above 0, steps that collapse onto one GPU are listed too, as far as their tables are
        larger than one partition (1 MiB of a Parquet file, 1,000 rows in memory; a text file is always one).

    Raises
    ------
    MissingPackageError
        If the cudf-polars wheel is not installed.
    """
    require("cudf_polars", extra="gpu")
    if isinstance(query, Recipe):
        return _check_recipe(query, ranks)
    plan, translator = _translate(query, ranks)
    found = [_in_words(error) for error in translator.errors]
    if ranks and not found:
        found = [f"{ONE_GPU}: {text}" for text in _collapses(plan, translator, ranks)]
    return list(dict.fromkeys(found))


def check_all(ranks: Sequence[int] = RANKS) -> pl.DataFrame:
    """Check every recipe and every query of curation: recipe, ranks, unsupported (one text per node), verdict."""
    queried: dict[str, Recipe | pl.LazyFrame] = {recipe().name: recipe() for recipe in RECIPES}
    queried["table"] = tabular.recipe(tabular.EXAMPLE).query(datasets.load("flights").tables)
    queried |= {f"curation: {name}": query for name, query in queries.queries().items()}
    rows = [(name, count) for name in queried for count in ranks]
    found = [gpu_check(queried[name], ranks=count) for name, count in rows]
    return pl.DataFrame(
        {
            "recipe": [name for name, _ in rows],
            "ranks": [max(1, count) for _, count in rows],
            "unsupported": pl.Series(found, dtype=pl.List(pl.String)),
            "verdict": [_verdict(texts) for texts in found],
        }
    )


def _verdict(found: Sequence[str]) -> str:
    if not found:
        return "translates to cuDF"
    return "collapses to one GPU" if all(ONE_GPU in text for text in found) else "does not translate"


def _check_recipe(recipe: Recipe, ranks: int) -> list[str]:
    """Check the whole recipe with its sink; if it fails, name the first step that each finding comes with."""
    tables = datasets.load(recipe.table).tables
    whole = recipe.query(tables)
    found = gpu_check(whole.sink_parquet(Path("features.parquet"), lazy=True), ranks=ranks)
    if not found:
        return []
    steps: dict[str, str] = {}
    for step in recipe.steps:
        for text in gpu_check(recipe.until(step.name).query(tables), ranks=ranks):
            steps.setdefault(text, step.name)
    return [f"step {steps[text]!r}: {text}" if text in steps else f"output: {text}" for text in found]


def _translate(query: pl.LazyFrame, ranks: int) -> tuple[Any, Any]:
    from cudf_polars import Translator

    options: dict[str, Any] = {
        "min_device_size": DEVICE_BYTES,
        "target_partition_size": PARTITION_BYTES,
        "max_rows_per_partition": PARTITION_ROWS,
        "fallback_mode": "warn",
    }
    engine = pl.GPUEngine(
        executor="streaming" if ranks else "in-memory",
        raise_on_fail=True,
        executor_options=options if ranks else {},
    )
    translator = Translator(query._ldf.visit(), engine)  # noqa: SLF001 (the optimised plan has no public door)
    return translator.translate_ir(), translator


def _in_words(error: Exception) -> str:
    text = " ".join(str(error).split())
    if any(word in text for word in ("CUDA", "NVIDIA", "NVML")):
        return f"cannot be judged without a GPU: {text}"
    if text.startswith("Temporal function "):  # 26.10 gives the number of the function only
        from cudf_polars.dsl.expressions.datetime import TemporalFunction

        text = f"Temporal function {TemporalFunction.Name(int(text.split()[-1])).name}"
    known = next((known for known in REWRITES if known.message in text), None)
    return f"{known.expression} ({text}); rewrite: {known.rewrite}" if known else text


def _collapses(plan: Any, translator: Any, ranks: int) -> Iterator[str]:
    """Lower the plan to partitions on several ranks and listen for the warnings of steps that fall back to one."""
    from cudf_polars.streaming.parallel import lower_ir_graph

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        lower_ir_graph(plan, translator.config_options, _statistics(plan), rank=0, nranks=ranks)
    for warning in heard:
        yield " ".join(str(warning.message).split())


def _statistics(plan: Any) -> Any:
    """Give the planner row counts from footers read on the CPU; its own reader of footers needs CUDA."""
    from cudf_polars.dsl.ir import DataFrameScan, Scan
    from cudf_polars.dsl.traversal import traversal
    from cudf_polars.streaming.base import StatsCollector
    from cudf_polars.streaming.io import DataFrameSourceInfo, ParquetSourceInfo

    statistics = StatsCollector()
    for node in traversal([plan]):
        if isinstance(node, Scan) and node.typ == "parquet":
            rows, mean = _rows(node.paths)
            statistics.scan_stats[node] = ParquetSourceInfo(rows, dict.fromkeys(node.schema, mean * VALUE_BYTES))
        elif isinstance(node, DataFrameScan):
            height = pl.DataFrame._from_pydf(node.df).height  # noqa: SLF001
            statistics.scan_stats[node] = DataFrameSourceInfo(height)
    return statistics


def _rows(paths: Iterable[str]) -> tuple[int, int]:
    """Return the rows of all files together, and of one on average."""
    import pyarrow.parquet as pq

    rows = [int(pq.read_metadata(path).num_rows) for path in paths]
    return sum(rows), sum(rows) // len(rows)
