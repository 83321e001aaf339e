"""Contracts on real files: what is published passes, and every fault is named by file, column, expected, found."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aifactory_lab import datasets, etl
from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.errors import DataError
from aifactory_lab.etl import contracts, footers, inspection
from aifactory_lab.etl.contracts import FLIGHTS, Column, Contract, ContractError, Defect, Table

WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "parquet": lambda frame, path: frame.write_parquet(path, row_group_size=500),
    "csv": lambda frame, path: frame.write_csv(path),
    "jsonl": lambda frame, path: frame.write_ndjson(path),
}
FORMATS = sorted(WRITERS)
COLUMNS = [(table.name, column.name) for table in FLIGHTS.tables for column in table.columns]
STRANGE = {"integer": pl.String, "number": pl.String, "text": pl.Int64, "time": pl.Int64, "boolean": pl.String}
quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    """The published tables, with the flights of a few days only."""
    frames = {name: frame.collect() for name, frame in datasets.load("flights").tables.items()}
    return frames | {"flights": frames["flights"].head(2000), "weather": frames["weather"].head(2000)}


@pytest.fixture
def write(tmp_path: Path, tables) -> Callable[..., RawMaterial]:
    """Write the tables, some of them changed, and open them as raw material."""

    def write(kind: str = "parquet", **changed: pl.DataFrame) -> RawMaterial:
        paths = {}
        for name, frame in (tables | changed).items():
            paths[name] = (tmp_path / f"{name}.{kind}",)
            WRITERS[kind](frame, paths[name][0])
        return RawMaterial("my flights", paths)

    return write


def only(raw: RawMaterial, contract: Contract = FLIGHTS) -> Defect:
    found = contracts.defects(raw, contract)
    assert len(found) == 1, found
    return found[0]


def test_what_is_published_keeps_its_contract():
    contracts.check(datasets.load("flights"), FLIGHTS)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_judged_alike(write, tables, kind):
    contracts.check(write(kind), FLIGHTS)
    bad = tables["flights"].with_columns(month=pl.lit(13))
    assert only(write(kind, flights=bad)) == Defect(
        f"flights.{kind}",
        "month",
        "values from 1 to 12",
        "2,000 others, for example 13",
        only(write(kind, flights=bad)).mend,
    )


def test_the_error_has_one_line_per_defect_and_the_mends(write, tables):
    raw = write(flights=tables["flights"].drop("origin", "dest"), planes=tables["planes"].clear())
    with pytest.raises(DataError) as caught:
        contracts.check(raw, FLIGHTS)
    error = caught.value
    assert isinstance(error, ContractError)
    lines = error.what.splitlines()
    assert lines[0] == "my flights does not keep its contract, 3 defects:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "flights.parquet",
        "flights.parquet",
        "planes.parquet",
    ]
    assert "column 'origin': expected a column of type text, found no such column" in lines[1]
    assert "planes.parquet: expected at least one row, found 0 rows" in lines[3]
    assert str(raw.paths["flights"][0]) in error.mend


def test_a_missing_table_is_named_unless_it_may_be_missing(write):
    raw = write()
    short = RawMaterial("short", {name: files for name, files in raw.paths.items() if name != "weather"})
    defect = only(short)
    assert (defect.expected, defect.found) == ("a table 'weather'", ", ".join(short.paths))
    optional = Contract(tuple(Table(t.name, t.columns, required=t.name != "weather") for t in FLIGHTS.tables))
    contracts.check(short, optional)


@quick
@given(st.sampled_from(COLUMNS))
def test_any_dropped_column_is_named(write, tables, which):
    table, column = which
    defect = only(write(**{table: tables[table].drop(column)}))
    assert (defect.file, defect.column) == (f"{table}.parquet", column)
    assert defect.found.startswith("no such column")


@quick
@given(st.sampled_from(COLUMNS))
def test_any_retyped_column_is_named_with_both_types(write, tables, which):
    table, name = which
    column = next(c for t in FLIGHTS.tables if t.name == table for c in t.columns if c.name == name)
    strange = STRANGE[column.kind]
    defect = only(write(**{table: tables[table].with_columns(pl.lit(1).cast(strange).alias(name))}))
    assert (defect.file, defect.column, defect.expected) == (f"{table}.parquet", name, column.kind)
    assert defect.found.startswith(str(strange()))


def test_a_misspelt_column_is_recognised(write, tables):
    defect = only(write(airports=tables["airports"].rename({"tzone": "tz_one"})))
    assert defect.found == "no such column; the nearest is 'tz_one'"


@quick
@given(
    st.sampled_from([(t.name, c) for t in FLIGHTS.tables for c in t.columns if c.limited]),
    st.integers(1, 50),
    st.booleans(),
)
def test_any_value_out_of_range_is_counted(write, tables, which, count, above):
    table, column = which
    edge = column.maximum if above and column.maximum is not None else column.minimum
    wrong = edge + 1 if edge == column.maximum else edge - 1
    frame = tables[table].with_row_index(" row")
    value = pl.when(pl.col(" row") < count).then(pl.lit(wrong)).otherwise(pl.col(column.name))
    frame = frame.with_columns(value.cast(frame.schema[column.name]).alias(column.name)).drop(" row")
    defects = {d.column: d for d in contracts.defects(write(**{table: frame}), FLIGHTS)}
    expected = min(count, frame.height)
    assert defects[column.name].found.startswith(f"{expected} others, for example ")
    assert defects[column.name].expected == f"values from {column.limits}"


def test_nulls_and_nan_are_seen_where_values_must_be(write, tables):
    first_day = pl.col("day") == 1
    flights = tables["flights"].with_columns(dest=pl.when(first_day).then(None).otherwise("dest"))
    weather = tables["weather"].with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(float("nan")).otherwise("temp").alias("temp")
    )
    nulls, nan = contracts.defects(write(flights=flights, weather=weather), FLIGHTS)
    assert (nulls.column, nulls.found) == ("dest", f"{tables['flights'].filter(first_day).height} nulls")
    assert (nan.column, nan.found) == ("temp", "1 others, for example nan")


@pytest.mark.parametrize("kind", FORMATS)
def test_duplicate_keys_are_counted_with_an_example(write, tables, kind):
    twice = pl.concat([tables["planes"], tables["planes"].head(3), tables["planes"].head(1)])
    defect = only(write(kind, planes=twice))
    first = min(tables["planes"]["tailnum"].head(3))
    times = 3 if first == tables["planes"]["tailnum"][0] else 2
    assert (defect.file, defect.column) == (f"planes.{kind}", "tailnum")
    assert defect.found == f"4 repeated, for example tailnum={first!r} ({times} times)"


@quick
@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abc")), min_size=1, max_size=30), st.integers(1, 3))
def test_duplicates_across_files_agree_with_a_plain_count(tmp_path, keys, parts):
    frame = pl.DataFrame(keys, schema=["number", "letter"], orient="row")
    paths = []
    for part in range(parts):
        rows = frame.filter(pl.int_range(pl.len()) % parts == part)
        paths.append(tmp_path / f"part-{part}.parquet")
        rows.write_parquet(paths[-1])
    table = Table("t", (Column("number", "integer"), Column("letter", "text")), key=("number", "letter"))
    found = [d for d in contracts.defects(RawMaterial("m", {"t": tuple(paths)}), Contract((table,))) if d.column]
    repeated = len(keys) - len(set(keys))
    assert sum(int(d.found.split(" ")[0]) for d in found) == repeated


def test_files_whose_keys_lie_apart_are_checked_one_by_one(tmp_path):
    paths = []
    for year in (2013, 2014, 2015):
        paths.append(tmp_path / f"{year}.parquet")
        pl.DataFrame({"year": [year] * 3, "n": [1, 2, 3]}).write_parquet(paths[-1])
    groups = inspection.apart([footers.describe(path) for path in paths], ["n", "year"])
    assert [len(group) for group in groups] == [1, 1, 1]


def test_time_running_backwards_is_named_by_row(write, tables):
    weather = tables["weather"]
    late = weather.filter(pl.int_range(pl.len()) == 5)
    defect = only(write(weather=pl.concat([weather.filter(pl.int_range(pl.len()) != 5), late])))
    assert (defect.file, defect.column) == ("weather.parquet", "time_hour")
    assert defect.found.startswith("1 steps back, the first at row 2,000: 2013-01-01T11:00:00Z after 2013-")
    assert "within origin" in defect.expected


@pytest.mark.parametrize(("minutes", "defects"), [(0, 1), (9, 1), (10, 0)])
@pytest.mark.parametrize("text", [True, False])
def test_a_step_back_within_the_tolerance_is_let_pass(tmp_path, minutes, defects, text):
    times = pl.Series("t", ["2013-01-01T10:10:00Z", "2013-01-01T10:00:00Z", "2013-01-01T10:05:00Z"])
    frame = pl.DataFrame([times if text else times.str.to_datetime(time_zone="UTC")])
    frame.write_parquet(tmp_path / "log.parquet")
    kind = "text" if text else "time"
    table = Table("log", (Column("t", kind),), time="t", tolerance=timedelta(minutes=minutes))
    raw = RawMaterial("m", {"log": (tmp_path / "log.parquet",)})
    assert len(contracts.defects(raw, Contract((table,)))) == defects


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda _: b"", "an empty file (0 bytes)"),
        (lambda data: data[: len(data) // 2], "a file cut off at"),
        (lambda data: data[:8], "a file cut off at 8 bytes"),
        (lambda data: b"PK\x03\x04" + data[4:], "a file of another format (it begins with b'PK\\x03\\x04')"),
        (lambda data: data[:-300] + b"\xff" * 292 + data[-8:], "a damaged footer ("),
        (lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1", "a damaged footer ("),
        (lambda _: b"tailnum,year\nN1,2013\n", "a file of another format"),
    ],
)
def test_a_damaged_parquet_file_is_named(write, damage, words):
    raw = write()
    (file,) = raw.paths["planes"]
    file.write_bytes(damage(file.read_bytes()))
    defect = only(raw)
    assert (defect.file, defect.expected) == ("planes.parquet", "a readable parquet file")
    assert defect.found.startswith(words)
    assert str(file) in defect.mend


def test_a_missing_file_is_named(write):
    raw = write()
    raw.paths["planes"][0].unlink()
    assert only(raw).found == "no such file"


@quick
@given(st.data())
def test_no_damage_to_a_file_escapes_as_another_kind_of_error(write, data):
    raw = write()
    (file,) = raw.paths["airports"]
    whole = file.read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=64))
    file.write_bytes(whole[:start] + noise + whole[start + len(noise) :])
    assert all(defect.file == "airports.parquet" for defect in contracts.defects(raw, FLIGHTS))


def damage_page(file: Path, group: int, column: int) -> str:
    """Overwrite one column chunk with zeros, leave the footer whole, and return the column's name."""
    chunk = pq.read_metadata(file).row_group(group).column(column)
    data = bytearray(file.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    file.write_bytes(data)
    return chunk.path_in_schema


def test_a_page_damaged_between_whole_footers_is_found_by_the_run_and_named(write):
    raw = write()
    name = damage_page(raw.paths["flights"][0], 1, 5)
    with pytest.raises(ContractError) as caught, contracts.reading(raw):
        raw["flights"].collect(engine="streaming")
    assert [(d.file, d.column) for d in caught.value.defects] == [("flights.parquet", name)]


@pytest.mark.parametrize("fault", ["missing column", "damaged page"])
def test_a_run_on_faulty_material_names_the_column_and_leaves_nothing_to_believe(write, tables, tmp_path, fault):
    if fault == "missing column":
        raw, name = write(flights=tables["flights"].drop("arr_delay")), "arr_delay"
    else:
        raw = write()
        name = damage_page(raw.paths["flights"][0], 1, tables["flights"].columns.index("arr_delay"))
    with pytest.raises(ContractError) as caught:
        etl.run(etl.recipes.flights(), raw, out=tmp_path / "out", engine="cpu", progress=False)
    assert [(d.file, d.column) for d in caught.value.defects] == [("flights.parquet", name)]
    assert not list((tmp_path / "out").glob("*"))


def test_a_failure_that_is_not_the_materials_passes_through(write):
    raw = write()
    with pytest.raises(pl.exceptions.ColumnNotFoundError), contracts.reading(raw):
        raw["flights"].select("nothing").collect()


@pytest.mark.parametrize("word", ["NA", "cancelled"])
def test_words_among_numbers_in_a_csv_file_are_explained(write, tables, word):
    words = tables["flights"].with_columns(pl.col("dep_time").cast(pl.String))
    late = pl.when(pl.int_range(pl.len()) == 1500).then(pl.lit(word)).otherwise("dep_time")
    defect = only(write("csv", flights=words.with_columns(dep_time=late)))
    assert (defect.column, defect.found) == ("dep_time", f"String (for example {word!r})")
    assert "null_values='NA'" in defect.mend


def test_a_column_that_is_empty_in_one_of_several_files_keeps_the_contract(tmp_path, tables):
    files = (tmp_path / "january.csv", tmp_path / "february.csv")
    tables["planes"].head(9).with_columns(year=pl.lit(None)).write_csv(files[0])
    tables["planes"].tail(9).write_csv(files[1])
    table = next(t for t in FLIGHTS.tables if t.name == "planes")
    contracts.check(RawMaterial("m", {"planes": files}), Contract((table,)))


def test_a_time_written_otherwise_is_named(write, tables):
    spaced = tables["flights"].with_columns(pl.col("time_hour").str.replace("T", " ").str.head(19))
    defect = only(write(flights=spaced))
    assert (defect.column, defect.expected) == ("time_hour", "times written as %Y-%m-%dT%H:%M:%SZ")
    assert defect.found.startswith("2,000 others, for example '2013-01-01 ")


def test_one_time_in_the_middle_written_otherwise_is_found_when_the_run_meets_it(write, tables):
    odd = pl.when(pl.int_range(pl.len()) == 1000).then(pl.lit("2013-01-02 12:00")).otherwise("time_hour")
    raw = write(flights=tables["flights"].with_columns(time_hour=odd))
    contracts.check(raw, FLIGHTS)
    with pytest.raises(ContractError) as caught, contracts.reading(raw, FLIGHTS):
        raw["flights"].select(pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ")).collect(engine="streaming")
    (defect,) = caught.value.defects
    assert (defect.file, defect.column) == ("flights.parquet", "time_hour")
    assert defect.found == "1 others, for example '2013-01-02 12:00'"


def test_a_full_disk_is_not_taken_for_damaged_material(write):
    raw = write()
    with pytest.raises(OSError, match="No space left"), contracts.reading(raw):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("csv", "", "an empty file (0 bytes)"),
        ("csv", "carrier,name\n", "0 rows"),
        ("jsonl", "", "an empty file (0 bytes)"),
        ("jsonl", '{"carrier": "UA", "name"', "text that cannot be read as jsonl"),
        ("xlsx", "PK", ""),
    ],
)
def test_empty_and_broken_text_files_are_named(tmp_path, kind, text, words):
    file = tmp_path / f"airlines.{kind}"
    file.write_text(text)
    table = next(t for t in FLIGHTS.tables if t.name == "airlines")
    found = contracts.defects(RawMaterial("m", {"airlines": (file,)}), Contract((table,)))
    assert any(d.file == file.name and d.found.startswith(words) for d in found), found


def test_footers_vouch_without_the_rows_being_read(write, monkeypatch):
    """Integers within limits cost no scan: of flights and airlines only the key is read."""
    raw = write()
    read: list[str] = []
    real = footers.scan
    monkeypatch.setattr(footers, "scan", lambda path: read.append(path.stem) or real(path))
    contracts.check(raw, FLIGHTS)
    assert read.count("flights") == 1
    assert read.count("airlines") == 1
