"""Your own files: what opens, under what name, and the words of every refusal."""

import os
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab import datasets
from aifactory_lab.datasets import files, formats
from aifactory_lab.errors import DataError

TABLE = pl.DataFrame({"when": [1, 2, 3], "delay": [0.5, None, 7.0], "origin": ["JFK", "Zürich", None]})
WRITERS = {
    "parquet": TABLE.write_parquet,
    "csv": TABLE.write_csv,
    "jsonl": TABLE.write_ndjson,
    "ndjson": TABLE.write_ndjson,
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my").mkdir()
    return tmp_path


def put(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_gives_the_same_table(here, suffix):
    WRITERS[suffix](here / f"my/trips.{suffix}")
    raw = datasets.load(f"my/trips.{suffix}")
    assert list(raw.paths) == [raw.name] == ["trips"]
    assert raw["trips"].collect().equals(TABLE)


@pytest.mark.parametrize("suffix", WRITERS)
def test_globs_folders_and_lists_mean_the_same_files(here, suffix):
    for month in ("01", "02"):
        WRITERS[suffix](here / f"my/trips-{month}.{suffix}")
    sources = (f"my/trips-*.{suffix}", f"my/**/*.{suffix}", "my", here / "my", [f"my/*1.{suffix}", f"my/*2.{suffix}"])
    names = {source if isinstance(source, str) else "other": datasets.load(source).name for source in sources}
    assert names[f"my/trips-*.{suffix}"] == "trips"
    assert names["my"] == "my"
    for source in sources:
        raw = datasets.load(source)
        assert raw[raw.name].collect().equals(pl.concat([TABLE, TABLE]))


@pytest.mark.parametrize("suffix", WRITERS)
def test_brackets_and_capitals_in_file_names_are_only_letters(here, suffix):
    WRITERS[suffix](here / f"my/trips[1].{suffix.upper()}")
    assert datasets.load(f"my/trips[1].{suffix.upper()}")["trips"].collect().equals(TABLE)
    assert datasets.load("my")["my"].collect().equals(TABLE)


def test_several_tables_by_name(here):
    TABLE.write_csv("my/flights-1.csv")
    TABLE.write_parquet("w.parquet")
    raw = datasets.load({"flights": "my/flights*.csv", "weather": Path("w.parquet")})
    assert {name: table.collect().height for name, table in raw.tables.items()} == {"flights": 3, "weather": 3}
    assert raw.name == "flights-weather"
    assert len(raw.content_hash()) == 64


def test_a_file_named_twice_counts_once(here):
    TABLE.write_csv("my/a.csv")
    assert datasets.load(["my/a.csv", "my/*.csv", here / "my/a.csv"])["a"].collect().height == 3


def test_leftovers_of_tools_are_passed_over(here):
    TABLE.write_parquet("my/a.parquet")
    for name in ("_SUCCESS", ".a.parquet.partial-7", "_delta_log/0.parquet", ".hidden.parquet", "notes.md"):
        put(f"my/{name}", "x")
    assert datasets.load("my")["my"].collect().height == 3


def test_home_is_expanded(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    TABLE.write_csv("my/a.csv")
    assert datasets.load("~/my/a.csv")["a"].collect().height == 3


def test_a_folder_called_like_a_dataset_is_opened_by_its_path(here):
    put("flights/a.csv", "x\n1\n")
    assert list(datasets.load("./flights").paths) == ["flights"]
    assert "planes" in datasets.load("flights").paths


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", [b"", formats.UTF8_MARK])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_separators_byte_order_marks_and_line_ends(here, separator, mark, ending):
    lines = [separator.join(row) for row in (["when", '"a, b; c"'], ["1", "x"])]
    put("my/a.csv", mark + ending.join([*lines, ""]).encode())
    assert datasets.load("my/a.csv")["a"].collect().to_dicts() == [{"when": 1, "a, b; c": "x"}]


def test_types_are_unified_over_files(here):
    put("my/1.csv", "n,delay,note\n1,2,\n")
    put("my/2.csv", "n,delay,note\n2,0.5,late\n")
    put("my/3.csv", "n,delay,note\n3,,\n")
    table = datasets.load("my/*.csv")["table"].collect()
    assert table.rows() == [(1, 2.0, None), (2, 0.5, "late"), (3, None, None)]


def test_types_come_from_all_rows_of_a_file(here):
    put("my/a.csv", "n,m\n" + "1,\n" * 20_000 + "2.5,7\n")
    table = datasets.load("my/a.csv")["a"].select(pl.col("n").max(), pl.col("m").sum()).collect()
    assert table.rows() == [(2.5, 7)]


def test_words_for_missing_stay_text_because_na_is_also_namibia(here):
    put("my/a.csv", "country,delay\nNA,3\nDE,NA\n")
    assert datasets.load("my/a.csv")["a"].collect().rows() == [("NA", "3"), ("DE", "NA")]


def test_json_lines_are_unified_too(here):
    put("my/1.jsonl", '{"n": 1, "delay": null}\n')
    put("my/2.jsonl", '{"n": 1.5, "delay": 3}\n')
    assert datasets.load("my/*.jsonl")["table"].collect().rows() == [(1.0, None), (1.5, 3)]


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(-9, 9), st.floats(-1, 1)), min_size=2, max_size=30), cut=st.integers(1, 29))
def test_a_table_cut_into_files_is_the_same_table(tmp_path_factory, rows, cut):
    folder = tmp_path_factory.mktemp("cut")
    whole = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Float64}, orient="row")
    parts = [part for part in (whole[:cut], whole[cut:]) if part.height]
    for index, part in enumerate(parts):
        part.write_csv(folder / f"{index}.csv")
    assert datasets.load(f"{folder}/*.csv")["table"].collect().equals(whole)


def refused(source, pattern):
    with pytest.raises(DataError, match=pattern) as caught:
        datasets.load(source)
    return caught.value


def test_nothing_matches(here):
    put("my/notes.md", "x")
    refused("my/*.parquet", r"nothing readable \(.*\) matches 'my/\*.parquet'; .*/my holds notes.md")
    refused("my", "my holds notes.md")
    refused("gone/far/a.csv", f"matches 'gone/far/a.csv'; {re.escape(str(here))} holds my")
    refused(["my/a.csv", "my/b.csv"], "matches 'my/a.csv'")
    refused([], "no files were given")
    refused({}, "no tables were named")


def test_an_address_is_not_a_file(here):
    error = refused("https://example.org/a.csv", "https://example.org/a.csv is an address")
    assert error.mend.startswith("pooch.retrieve('https://example.org/a.csv'")


def test_a_name_that_is_nowhere_lists_the_catalogue(here):
    assert "flights, taxi, azure-llm" in refused("flight", "no dataset 'flight'").what


def test_mixed_formats(here):
    TABLE.write_csv("my/a.csv")
    TABLE.write_parquet("my/b.parquet")
    error = refused("my", r"one table cannot mix formats; found a.csv \(csv\), b.parquet \(parquet\)")
    assert error.mend == "datasets.load('my/*.csv')"


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (TABLE.drop("delay"), r"b.parquet has no column 'delay', unlike a.parquet"),
        (TABLE.with_columns(more=1), r"b.parquet has a column 'more' more, unlike a.parquet"),
        (
            TABLE.select("delay", "when", "origin"),
            r"b.parquet has its columns in another order \(delay, when, origin\)",
        ),
        (
            TABLE.with_columns(pl.col("when").cast(pl.Int32)),
            r"b.parquet, column 'when': expected Int64 as in a.parquet, found Int32",
        ),
    ],
)
def test_mixed_schemas_name_file_column_expected_and_found(here, second, words):
    TABLE.write_parquet("my/a.parquet")
    second.write_parquet("my/b.parquet")
    error = refused("my/*.parquet", words)
    assert "{'a': 'my/a.parquet', 'b': 'my/b.parquet'}" in error.mend


def test_text_files_whose_types_cannot_be_unified(here):
    put("my/a.csv", "when,x\n1,2\n")
    put("my/b.csv", "when,x\nmonday,2\n")
    refused("my/*.csv", r"b.csv, column 'when': expected Int64 as in a.csv, found String")


def test_mixed_separators(here):
    put("my/a.csv", "a,b\n1,2\n")
    put("my/b.csv", "a;b\n1;2\n")
    refused("my/*.csv", r"b.csv: expected fields separated by ',' as in a.csv, found ';'")


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_empty_files(here, suffix):
    put(f"my/a.{suffix}", "")
    refused(f"my/a.{suffix}", r"a\.\w+ is empty \(0 bytes\)")


def test_files_without_rows(here):
    put("my/a.csv", "when,x\n")
    TABLE.clear().write_parquet("my/b.parquet")
    refused("my/a.csv", "a.csv has columns but no rows$")
    refused("my/b.parquet", "b.parquet has columns but no rows$")


def test_a_truncated_parquet_file(here):
    TABLE.write_parquet("my/a.parquet")
    path = Path("my/a.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    refused("my/a.parquet", "my/a.parquet cannot be read as parquet")
    put("my/b.parquet", "this is text")
    refused("my/b.parquet", "my/b.parquet cannot be read as parquet")


def test_torn_json_lines(here):
    put("my/a.jsonl", '{"a": 1}\n{"a": 2, "b')
    refused("my/a.jsonl", "my/a.jsonl cannot be read as jsonl")


def test_text_that_is_not_utf8(here):
    put("my/a.csv", "a,b\n1,2\n".encode("utf-16"))
    assert "iconv" in refused("my/a.csv", "my/a.csv is not UTF-8 text").mend
    put("my/b.csv", "a,b\nZürich,2\n".encode("latin-1"))
    refused("my/b.csv", "my/b.csv cannot be read as csv: .*utf-?8")


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("a.xlsx", "pl.read_excel('my/a.xlsx').write_parquet('my/a.parquet')"),
        ("a.tsv", "pl.scan_csv('my/a.tsv', separator='\\t').sink_parquet('my/a.parquet')"),
        ("a.csv.gz", "gunzip --keep 'my/a.csv.gz'"),
        ("a.pkl", "save it as .parquet, .csv or .jsonl"),
        ("a", "save it as .parquet, .csv or .jsonl"),
    ],
)
def test_other_formats_say_how_to_convert(here, name, mend):
    put(f"my/{name}", "x")
    error = refused(f"my/{name}", "readable are .parquet, .csv, .jsonl, .ndjson")
    assert error.mend == mend


def test_the_conversions_work_as_printed(here):
    Path("my/a.tsv").write_text("a\tb\n1\t2\n")
    TABLE.write_json("my/b.json")
    TABLE.write_ipc("my/c.arrow")
    for name in ("a.tsv", "b.json", "c.arrow"):
        exec(refused(f"my/{name}", "readable are").mend, {"pl": pl})
    for name in ("a.parquet", "b.jsonl", "c.parquet"):
        assert datasets.load(f"my/{name}")[name[0]].collect().height


def test_a_file_that_vanishes_or_changes_is_seen(here):
    put("my/a.csv", "x\n1\n")
    raw = datasets.load("my/a.csv")
    put("my/a.csv", "x,y\n1,2\n3,4\n")
    assert raw["a"].collect().shape == (2, 2)
    Path("my/a.csv").unlink()
    with pytest.raises(DataError, match=r"my/a.csv cannot be read: No such file"):
        raw["a"]


def test_the_same_relative_path_in_another_folder_is_another_file(here, monkeypatch):
    for folder, column in (("one", "x"), ("two", "y")):
        os.utime(put(f"{folder}/a.csv", f"{column}\n1\n"), (7, 7))  # same size, same time
        monkeypatch.chdir(here / folder)
        assert datasets.load("a.csv")["a"].collect().columns == [column]
        monkeypatch.chdir(here)


def test_raw_material_names_its_tables(here):
    put("my/a.csv", "x\n1\n")
    raw = datasets.load("my/a.csv")
    with pytest.raises(DataError, match="a has no table 'b'; there are: a"):
        raw["b"]
    assert repr(raw) == "RawMaterial 'a', 0.0 MB; tables (files): a (1)"
    assert raw.bytes == 4


def test_the_content_hash_sees_content_and_names_but_not_places(here):
    for folder in ("one", "two"):
        put(f"{folder}/a.csv", "x\n1\n")
    first, second = datasets.load("one/a.csv").content_hash(), datasets.load("two/a.csv").content_hash()
    assert first == second
    put("two/a.csv", "x\n2\n")
    assert datasets.load("two/a.csv").content_hash() != first
    assert datasets.load({"b": "one/a.csv"}).content_hash() != first


@given(stem=st.text("abc123-_ ", min_size=0, max_size=8), wildcard=st.sampled_from(["", "*", "?", "[0-9]"]))
def test_table_names_are_never_empty_and_hold_no_wildcard(stem, wildcard):
    name = files.table_name(f"folder/{stem}{wildcard}.csv")
    assert name
    assert not set(name) & set("*?[]")
