"""Every recipe translates to cuDF's plan, for one GPU and for many, and every rewrite does what it says."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aifactory_lab import datasets
from aifactory_lab.etl import tabular
from aifactory_lab.etl import translation as room
from aifactory_lab.etl.curation.queries import queries
from aifactory_lab.etl.translation import ONE_GPU, REWRITES, check_all, gpu_check

pytestmark = pytest.mark.rapids
FORMAT = "%Y-%m-%dT%H:%M:%SZ"
HOUR = 3_600_000_000
Query = Callable[[pl.LazyFrame, Path], pl.LazyFrame]
col = pl.col


@pytest.mark.parametrize("ranks", [*room.RANKS, 1])
@pytest.mark.parametrize("recipe", room.RECIPES, ids=lambda make: make.__name__)
def test_recipes_have_no_unsupported_node_and_never_collapse_to_one_gpu(recipe, ranks):
    assert gpu_check(recipe(), ranks=ranks) == []


def test_every_step_alone_can_be_looked_at_on_a_gpu():
    for recipe in (make() for make in room.RECIPES):
        tables = datasets.load(recipe.table).tables
        for step in recipe.steps:
            assert gpu_check(recipe.until(step.name).query(tables)) == []


@pytest.mark.parametrize("ranks", room.RANKS)
def test_anyones_table_is_prepared_on_any_number_of_gpus(ranks):
    spread = replace(tabular.EXAMPLE, time="", time_format="", keys=("origin", "time_hour"))
    dated = replace(tabular.EXAMPLE, test_from="2013-10-01")
    for columns in (tabular.EXAMPLE, spread, dated):
        assert gpu_check(tabular.recipe(columns).query(datasets.load("flights").tables), ranks=ranks) == []


def test_the_verdict_on_all_recipes_is_a_frame():
    frame = check_all()
    assert frame.columns == ["recipe", "ranks", "unsupported", "verdict"]
    assert frame["ranks"].to_list() == [1, 2, 8] * (len(room.RECIPES) + 1 + len(queries()))
    assert set(frame["verdict"]) == {"translates to cuDF"}


@dataclass(frozen=True)
class Case:
    """A query cuDF cannot run, and what to write instead; `same` if both give equal rows on a CPU."""

    expression: str
    before: Query
    after: Query
    same: bool = True


def mode(f: pl.LazyFrame, _: Path) -> pl.LazyFrame:
    counted = f.group_by("carrier", "dest").len().sort("carrier", "len", "dest", descending=[False, True, False])
    return counted.group_by("carrier", maintain_order=True).agg(col("dest").first())


def as_of(f: pl.LazyFrame, _: Path) -> pl.LazyFrame:
    left = f.select("origin", "ts", "i", value=pl.lit(None, dtype=pl.Int64), asked=pl.lit(value=True))
    right = f.filter(hour=12).group_by("origin", "ts").agg(value=col("i").max())
    right = right.select("origin", "ts", pl.lit(None, dtype=pl.UInt32).alias("i"), "value", asked=pl.lit(value=False))
    both = pl.concat([right, left], how="vertical_relaxed").sort("ts", "asked")
    return both.with_columns(col("value").forward_fill().over("origin")).filter("asked").select("i", "value")


def as_of_join(f: pl.LazyFrame, _: Path) -> pl.LazyFrame:
    right = f.filter(hour=12).group_by("origin", "ts").agg(value=col("i").max()).sort("ts")
    return f.sort("ts").join_asof(right, on="ts", by="origin").select("i", "value")


def moments(f: pl.LazyFrame, _: Path) -> pl.LazyFrame:
    x, y = col("dep_delay").cast(pl.Float64), col("arr_delay").cast(pl.Float64)
    f = f.drop_nulls(["dep_delay", "arr_delay"]).select(x=x, y=y, xx=x * x, yy=y * y, xy=x * y).select(pl.all().mean())
    spread = ((col("xx") - col("x") ** 2) * (col("yy") - col("y") ** 2)).sqrt()
    return f.select(r=(col("xy") - col("x") * col("y")) / spread)


def hive(f: pl.LazyFrame, folder: Path) -> pl.LazyFrame:
    f.select("i", "origin").collect().write_parquet(folder / "hive", partition_by="origin")
    return pl.scan_parquet(folder / "hive", hive_partitioning=True).select("i", "origin")


def paths(f: pl.LazyFrame, folder: Path) -> pl.LazyFrame:
    f.select("i", "origin").collect().write_parquet(folder / "hive", partition_by="origin")
    files = pl.scan_parquet(folder / "hive", hive_partitioning=False, include_file_paths="path")
    return files.select("i", origin=col("path").str.extract(r"origin=(\w+)"))


def ipc(f: pl.LazyFrame, folder: Path) -> pl.LazyFrame:
    f.select("i").collect().write_ipc(folder / "x.arrow")
    return pl.scan_ipc(folder / "x.arrow")


def compressed(f: pl.LazyFrame, folder: Path) -> pl.LazyFrame:
    (folder / "x.csv.gz").write_bytes(gzip.compress(f.select("i").collect().write_csv().encode()))
    return pl.scan_csv(folder / "x.csv.gz")


def plain(f: pl.LazyFrame, folder: Path) -> pl.LazyFrame:
    f.select("i").collect().write_csv(folder / "x.csv")
    return pl.scan_csv(folder / "x.csv")


def sunk(f: pl.LazyFrame, folder: Path) -> pl.LazyFrame:
    return f.sink_parquet(folder / "y.parquet", lazy=True)


def two_lines() -> pl.Expr:
    return pl.concat_str("origin", "dest", separator="\n")


CASES = (
    Case(
        "str.to_datetime(format)",
        lambda f, _: f.select("i", t=col("time_hour").str.to_datetime(FORMAT)),
        lambda f, _: f.select("i", t=col("time_hour").str.to_datetime(FORMAT, cache=False)),
    ),
    Case(
        "pl.duration of a column",
        lambda f, _: f.select("i", t=pl.duration(minutes=col("minute"))),
        lambda f, _: f.select("i", t=(col("minute") * 60_000_000).cast(pl.Duration("us"))),
    ),
    Case(
        "pl.datetime or pl.date of columns",
        lambda f, _: f.select("i", t=pl.datetime("year", "month", "day")),
        lambda f, _: f.select(
            "i",
            t=pl.concat_str(
                col("year").cast(pl.String),
                *(col(part).cast(pl.String).str.zfill(2) for part in ("month", "day")),
                separator="-",
            ).str.to_datetime("%Y-%m-%d", time_unit="us", cache=False),
        ),
    ),
    Case(
        "dt.offset_by",
        lambda f, _: f.select("i", t=col("ts").dt.offset_by("1h")),
        lambda f, _: f.select("i", t=col("ts") + pl.duration(hours=1)),
    ),
    Case(
        "dt.truncate to other than 1d, 1h, 1m, 1s",
        lambda f, _: f.select("i", t=col("ts").dt.truncate("3h")),
        lambda f, _: f.select("i", t=(col("ts").cast(pl.Int64) // (3 * HOUR) * (3 * HOUR)).cast(pl.Datetime("us"))),
    ),
    Case(
        "dt.truncate to other than 1d, 1h, 1m, 1s",
        lambda f, _: f.select("i", t=col("ts").dt.truncate("1mo")),
        lambda f, _: f.select("i", t=col("ts").dt.truncate("1d").dt.month_start()),
    ),
    Case(
        "group_by_dynamic",
        lambda f, _: f.sort("ts").group_by_dynamic("ts", every="1h").agg(n=pl.len()),
        lambda f, _: f.group_by(col("ts").dt.truncate("1h")).agg(n=pl.len()),
    ),
    Case(
        "rolling_mean_by and the like",
        lambda f, _: f.unique("ts").sort("ts").select("ts", m=col("i").rolling_mean_by("ts", "3h")),
        lambda f, _: f.unique("ts").sort("ts").select("ts", m=col("i").mean().rolling("ts", period="3h")),
        same=False,  # which of the rows of one instant unique() keeps is open
    ),
    Case(
        "(a - a.shift(1)).over(key)",
        lambda f, _: f.select("i", d=(col("i") - col("i").shift(1)).over("carrier", order_by="i")),
        lambda f, _: f.select("i", d=col("i") - col("i").shift(1).over("carrier", order_by="i")),
    ),
    Case(
        "ewm_mean",
        lambda f, _: f.select("i", m=col("i").ewm_mean(alpha=0.5)),
        lambda f, _: f.select("i", m=sum(0.5 ** (k + 1) * col("i").shift(k) for k in range(4))),
        same=False,  # cut after four terms
    ),
    Case(
        "interpolate",
        lambda f, _: f.select("i", d=col("dep_delay").interpolate()),
        lambda f, _: f.select("i", d=col("dep_delay").forward_fill().over("carrier", order_by="i")),
        same=False,  # the last known value, not a line to one that lies in the future
    ),
    Case(
        "int_range",
        lambda f, _: f.select("i", n=pl.int_range(pl.len()).over("carrier", order_by="i")),
        lambda f, _: f.select("i", one=pl.lit(1), c="carrier").select(
            "i", n=col("one").cum_sum().over("c", order_by="i").cast(pl.Int64) - 1
        ),
    ),
    Case(
        "Categorical, Enum, cut or qcut",
        lambda f, _: f.select("i", c=col("carrier").cast(pl.Categorical).to_physical()),
        lambda f, _: f.select("i", c=col("carrier").rank("dense")),
        same=False,  # numbered by order of appearance, and in alphabetical order
    ),
    Case(
        "Categorical, Enum, cut or qcut",
        lambda f, _: f.select("i", c=col("hour").cut([11], labels=["morning", "later"]).cast(pl.String)),
        lambda f, _: f.select("i", c=pl.when(col("hour") <= 11).then(pl.lit("morning")).otherwise(pl.lit("later"))),
    ),
    Case(
        "Categorical, Enum, cut or qcut",
        lambda f, _: f.select("i", q=col("i").qcut(4)),
        lambda f, _: f.select("i", q=(col("i").rank("ordinal") - 1) * 4 // pl.len()),
        same=False,  # bins by name, and by number
    ),
    Case(
        "Python objects in a column",
        lambda *_: pl.LazyFrame({"i": [object()]}, schema={"i": pl.Object}),
        lambda f, _: f.select("i"),
        same=False,
    ),
    Case(
        "agg(x.filter(…)) or pivot",
        lambda f, _: f.group_by("carrier").agg(m=col("i").filter(col("hour") < 12).mean()),
        lambda f, _: f.group_by("carrier").agg(m=pl.when(col("hour") < 12).then(col("i")).mean()),
    ),
    Case("corr", lambda f, _: f.select(r=pl.corr("dep_delay", "arr_delay")), moments),
    Case(
        "get(arg_max()) inside agg",
        lambda f, _: f.group_by("carrier").agg(x=col("flight").get(col("i").arg_max())),
        lambda f, _: f.group_by("carrier").agg(x=col("flight").sort_by("i").last()),
    ),
    Case(
        "cum_count or mode of groups",
        lambda f, _: f.group_by("carrier").agg(col("dest").mode().first()),
        mode,
        same=False,
    ),
    Case(
        "cum_count or mode of groups",
        lambda f, _: f.select("i", n=col("i").cum_count().over("carrier", order_by="i").cast(pl.Int64)),
        lambda f, _: f.select("i", one=pl.lit(1), c="carrier").select(
            "i", n=col("one").cum_sum().over("c", order_by="i").cast(pl.Int64)
        ),
    ),
    Case("join_asof", as_of_join, as_of),
    Case(
        "str.replace with a regular expression",
        lambda f, _: f.select("i", t=col("time_hour").str.replace_all("[Z]", "")),
        lambda f, _: f.select("i", t=col("time_hour").str.replace_all("Z", "", literal=True)),
    ),
    Case(
        "str.extract_all",
        lambda f, _: f.select("i", t=col("time_hour").str.extract_all("[0-9]+")),
        lambda f, _: f.select("i", t=col("time_hour").str.extract("([0-9]+)")),
        same=False,  # a list, and its first item
    ),
    Case(
        "str.normalize",
        lambda f, _: f.select("i", t=col("time_hour").str.normalize("NFC")),
        lambda f, _: f.select("i", t=col("time_hour")),
    ),
    Case(
        "count_matches of a line feed, literal=True",
        lambda f, _: f.select(
            "i", n=pl.concat_str("origin", "dest", separator="\n").str.count_matches("\n", literal=True)
        ),
        lambda f, _: f.select("i", n=pl.concat_str("origin", "dest", separator="\n").str.count_matches(r"\n")),
    ),
    Case(
        "a regular expression with look-around, inline flags, \\p{…} or 1,000 repeats",
        lambda f, _: f.select("i", n=col("dest").str.count_matches(r"\p{L}"), h=col("dest").str.contains(r"(?m)^A")),
        lambda f, _: f.select(
            "i",
            n=col("dest").str.count_matches(r"[^\W\d_]"),
            h=pl.concat_str(pl.lit("\n"), "dest").str.contains(r"\nA"),
        ),
    ),
    Case(
        "str.split",
        lambda f, _: f.select("i", a=col("time_hour").str.split("T")),
        lambda f, _: f.select("i", a=col("time_hour").str.split_exact("T", 1).struct.field("field_0")),
        same=False,  # a list, and its first item
    ),
    Case("tail", lambda f, _: f.select("i").tail(5), lambda f, _: f.select("i").sort("i", descending=True).head(5)),
    Case(
        "list.mean and the like",
        lambda f, _: f.group_by("carrier").agg("i").select("carrier", m=col("i").list.mean()),
        lambda f, _: f.group_by("carrier").agg(m=col("i").mean()),
    ),
    Case(
        "arctan2",
        lambda f, _: f.select("i", a=pl.arctan2("hour", "distance")),
        lambda f, _: f.select("i", a=(col("hour") / (col("hour") ** 2 + col("distance") ** 2).sqrt()).arcsin()),
    ),
    Case(
        "shuffle",
        lambda f, _: f.select(col("i").shuffle(7)),
        lambda f, _: f.select("i").sort(col("i").hash(7)),
    ),
    Case(
        "map_elements or map_batches",
        lambda f, _: f.select("i", d=col("hour").map_batches(lambda s: s * 60, return_dtype=pl.Int64)),
        lambda f, _: f.select("i", d=col("hour") * 60),
    ),
    Case(
        "dt.is_business_day",
        lambda f, _: f.select("i", b=col("ts").dt.date().dt.is_business_day()),
        lambda f, _: f.select("i", b=col("ts").dt.weekday() < 6),
    ),
    Case("hive partitions", hive, paths),
    Case("scan_ipc", ipc, plain, same=False),
    Case("compressed CSV", compressed, plain),
    Case("sink_ipc", lambda f, folder: f.sink_ipc(folder / "y.arrow", lazy=True), sunk, same=False),
    Case(
        "sink_parquet(compression_level=…)",
        lambda f, folder: f.sink_parquet(folder / "y.parquet", compression_level=9, lazy=True),
        sunk,
        same=False,
    ),
    Case(
        "sink_parquet(pl.PartitionBy(…))",
        lambda f, folder: f.sink_parquet(pl.PartitionBy(folder / "parts", key="origin"), lazy=True),
        sunk,
        same=False,
    ),
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> pl.LazyFrame:
    """Some thousand flights of January and July in a Parquet file, with an instant and a row number."""
    flights = datasets.load("flights")["flights"].gather_every(200)
    instant = col("time_hour").str.to_datetime(FORMAT, time_unit="us")
    path = tmp_path_factory.mktemp("sample") / "flights.parquet"
    flights.with_row_index("i").with_columns(ts=instant, i=col("i").cast(pl.Int64)).collect().write_parquet(path)
    return pl.scan_parquet(path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.expression)
def test_what_cudf_cannot_do_is_named_with_a_rewrite_that_it_can(case, sample, tmp_path):
    known = next(known for known in REWRITES if known.expression == case.expression)
    found = gpu_check(case.before(sample, tmp_path))
    named = [text for text in found if text.startswith(known.expression)]
    assert any(text.endswith(f"rewrite: {known.rewrite}") for text in named), found
    assert gpu_check(case.after(sample, tmp_path)) == []


@pytest.mark.parametrize("case", [case for case in CASES if case.same], ids=lambda case: case.expression)
def test_a_rewrite_gives_the_same_rows(case, sample, tmp_path):
    before = case.before(sample, tmp_path).collect()
    after = case.after(sample, tmp_path).collect()
    assert_frame_equal(before, after, check_row_order=False, check_dtypes=False, rel_tol=1e-9)


def test_every_rewrite_of_the_table_is_proven():
    assert {case.expression for case in CASES} == {known.expression for known in REWRITES}


def test_what_only_a_gpu_can_judge_says_so(sample):
    found = gpu_check(sample.join_where(sample, col("hour") > col("hour_right")))
    assert len(found) == 1
    assert found[0].startswith("cannot be judged without a GPU: ")


@pytest.mark.parametrize(
    "collapsing",
    [
        lambda f: f.with_columns(d=col("i").shift(1)),
        lambda f: f.with_columns(d=col("i").cum_sum()),
        lambda f: f.with_row_index("n"),
        lambda f: f.group_by("carrier").agg(col("i").median()),
        lambda f: f.with_columns(d=col("i").shift(1).over("carrier", order_by=["ts", "i"])),
    ],
)
def test_a_step_that_collapses_to_one_gpu_is_named(collapsing):
    flights = datasets.load("flights")["flights"].rename({"arr_delay": "i", "time_hour": "ts"})
    assert gpu_check(collapsing(flights)) == []
    found = gpu_check(collapsing(flights), ranks=2)
    assert found
    assert all(text.startswith(f"{ONE_GPU}: ") for text in found)


def test_frames_in_memory_are_cut_too():
    assert gpu_check(pl.LazyFrame({"a": range(5_000)}).with_columns(col("a").shift(1)), ranks=2) != []
    assert gpu_check(pl.LazyFrame({"a": range(500)}).with_columns(col("a").shift(1)), ranks=2) == []


def test_a_recipe_names_the_step_that_cannot_run():
    recipe = room.RECIPES[0]()
    first, last = recipe.steps[0], recipe.steps[-1]

    def slow(tables):
        return tables[last.makes].with_columns(bad=col("distance").ewm_mean(alpha=0.5))

    bad = replace(last, name="slow", function=slow)
    broken = replace(recipe, steps=(first, bad), whole=False)
    (found,) = gpu_check(broken)
    assert found.startswith("step 'slow': ewm_mean (")
    assert found.endswith("rewrite: a weighted sum of shifts")
