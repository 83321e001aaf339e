"""The catalogue and its cards: the numbers in a card are measured again here."""

import datetime
import decimal
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from aifactory_lab import datasets
from aifactory_lab.datasets import entries, measured, places, remote
from aifactory_lab.errors import DataError

HEADINGS = [
    "Source",
    "Licence",
    "Rows × columns",
    "Columns",
    "Keys and join coverage",
    "Quirks",
    "Target",
    "Split",
    "Reference score",
    "How to rebuild",
    "sha256",
]
FOLDER = places.vendored("flights")


@pytest.fixture(scope="module")
def text() -> str:
    return (FOLDER / "README.md").read_text()


def test_the_card_has_the_fixed_headings(text):
    assert [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")] == HEADINGS


@pytest.mark.parametrize("block", measured.BLOCKS)
def test_the_card_says_what_is_measured(text, block):
    said = text.split(f"<!-- measured: {block} -->\n\n")[1].split("\n\n<!-- end -->")[0]
    assert said == measured.BLOCKS[block](FOLDER)


def test_every_block_of_the_card_is_a_measured_one(text):
    assert sorted(re.findall(r"<!-- measured: (\w+) -->", text)) == sorted(measured.BLOCKS)
    assert text.count("<!--") == 2 * len(measured.BLOCKS)


def test_measuring_a_card_writes_its_blocks_anew(text):
    card = "# A card\n\n<!-- measured: sums -->\nstale\n<!-- end -->\n\nwords\n"
    assert measured.measure(card, FOLDER) == (
        f"# A card\n\n<!-- measured: sums -->\n\n{measured.sums(FOLDER)}\n\n<!-- end -->\n\nwords\n"
    )


@pytest.mark.parametrize(
    "number",
    [
        "336,776",
        "26,115",
        "**8,255 flights were cancelled**",
        "(84.4%)",
        "(99.5%)",
        "(97.7%)",
        "23.7% are late",
        "0.759",
    ],
)
def test_the_card_holds_the_numbers_that_others_measured(text, number):
    assert number in text


def test_a_changed_table_changes_the_card(tmp_path):
    for name in measured.TABLES:
        pl.read_parquet(FOLDER / f"{name}.parquet").head(1000).write_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "columns.csv").write_text((FOLDER / "columns.csv").read_text())
    for block in ("sizes", "columns", "keys", "quirks", "target", "sums"):
        assert measured.BLOCKS[block](tmp_path) != measured.BLOCKS[block](FOLDER)


def test_every_column_has_its_words_and_no_words_are_left_over():
    words = pl.read_csv(FOLDER / "columns.csv").select("table", "column").rows()
    raw = datasets.load("flights")
    held = [(name, column) for name in measured.TABLES for column in raw[name].collect_schema()]
    assert words == held


def test_the_card_renders_in_a_notebook():
    card = datasets.card("flights")
    assert card._repr_markdown_() == str(card)
    assert "<!--" not in str(card)
    assert card.section("Licence").startswith("CC0-1.0")
    assert card.section("No such heading") == ""


@pytest.mark.parametrize("name", [name for name, known in entries.ENTRIES.items() if known.files])
def test_remote_cards_name_licence_source_and_trust(name):
    card, known = datasets.card(name), entries.ENTRIES[name]
    assert card.section("Licence") == known.licence
    assert card.section("Source").startswith(known.source)
    for _, file in known.files:
        assert file.trust in card.section("Files and sha256")


def test_what_cannot_be_checked_at_first_is_said_so():
    assert "trust on first use" in str(datasets.card("taxi"))
    assert "trust on first use" not in str(datasets.card("azure-llm"))


def test_unknown_names_list_the_catalogue():
    with pytest.raises(DataError, match="there are: flights, taxi, azure-llm"):
        datasets.card("flihgts")


def test_the_catalogue_counts_what_is_here(monkeypatch, tmp_path):
    monkeypatch.setenv(places.VARIABLE, str(tmp_path))
    frame = datasets.catalogue()
    assert frame.columns == ["name", "title", "rows", "bytes", "licence", "where", "source"]
    flights = frame.row(by_predicate=pl.col("name") == "flights", named=True)
    raw = datasets.load("flights")
    assert flights["rows"] == sum(table.select(pl.len()).collect().item() for table in raw.tables.values())
    assert flights["bytes"] == raw.bytes
    assert dict(frame.select("name", "where").rows()) == {
        "flights": "vendored",
        "taxi": "remote",
        "azure-llm": "remote",
        "azure-llm-code": "remote",
    }


def test_a_file_in_the_data_folder_is_loaded_without_network_and_shown_as_cached(monkeypatch, tmp_path):
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:15:46.6805900,374,44"]
    (tmp_path / "azure").mkdir()
    held = tmp_path / "azure" / "AzureLLMInferenceTrace_conv.csv"
    held.write_text("\n".join(lines))
    known = entries.AZURE.files[0][1]
    file = remote.RemoteFile(known.name, "http://127.0.0.1:9/", held.stat().st_size, "")
    azure = entries.Entry("azure-llm", "", "", "", files=(("requests", file),))
    monkeypatch.setitem(entries.ENTRIES, "azure-llm", azure)
    monkeypatch.setenv(places.VARIABLE, str(tmp_path))
    raw = datasets.load("azure-llm")
    assert raw.paths == {"requests": (held,)}
    assert raw["requests"].select(pl.col("ContextTokens").sum()).collect().item() == 374
    assert "cached" in datasets.catalogue()["where"].to_list()


def stores() -> list[Path]:
    """Where the real trace may lie: the data folder, or the store beside the repository in CI."""
    beside = places.PACKAGE.parent.parent / "shared" / "data"
    named = os.environ.get(places.VARIABLE)
    return sorted({folder.resolve() for folder in (Path(named or beside), beside) if folder.is_dir()})


@pytest.mark.parametrize("store", stores(), ids=str)
def test_the_real_trace_is_found_by_name_and_sha256(monkeypatch, store):
    monkeypatch.setenv(places.VARIABLE, str(store))
    raw = datasets.load("azure-llm")
    table = raw["requests"].collect()
    assert table.height == entries.AZURE.rows
    assert table.schema == {"TIMESTAMP": pl.String, "ContextTokens": pl.Int64, "GeneratedTokens": pl.Int64}
    assert round(table["ContextTokens"].mean(), 1) == 1154.7
    assert table["TIMESTAMP"].is_sorted()


def test_describe_measures_every_column():
    raw = datasets.load("flights")
    frame = datasets.describe(raw)
    assert frame.height == sum(len(table.collect_schema()) for table in raw.tables.values())
    row = frame.row(by_predicate=(pl.col("table") == "flights") & (pl.col("column") == "dep_time"), named=True)
    flights = raw["flights"].collect()["dep_time"]
    assert row == {
        "table": "flights",
        "column": "dep_time",
        "type": "Int64",
        "rows": 336_776,
        "missing": flights.null_count() / 336_776,
        "distinct": flights.drop_nulls().n_unique(),
        "min": "1",
        "max": "2400",
    }


def test_describe_of_nested_and_empty_columns(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"tags": ["x"], "none": null, "yes": true}\n{"tags": null, "none": null, "yes": null}\n'
    )
    rows = datasets.describe(datasets.load(tmp_path / "a.jsonl")).rows_by_key("column", named=True, unique=True)
    assert rows["tags"]["missing"] == 0.5
    assert rows["tags"]["distinct"] is None
    assert (rows["none"]["missing"], rows["none"]["distinct"], rows["none"]["min"]) == (1.0, 0, None)
    assert (rows["yes"]["distinct"], rows["yes"]["max"]) == (1, "True")


def test_describe_shows_values_of_every_type(tmp_path):
    shown = {
        "1.5": decimal.Decimal("1.5"),
        "0:00:03": datetime.timedelta(seconds=3),
        "2013-01-01": datetime.date(2013, 1, 1),
        "2013-01-01 05:15:00+00:00": datetime.datetime(2013, 1, 1, 5, 15, tzinfo=datetime.UTC),
        "05:15:00": datetime.time(5, 15),
        "fffe": b"\xff\xfe",
        "7": 7,
    }
    frame = pl.DataFrame({text: [value, None] for text, value in shown.items()})
    frame = frame.with_columns(JFK=pl.Series(["JFK", None], dtype=pl.Enum(["LGA", "JFK"])))
    frame.write_parquet(tmp_path / "a.parquet")
    described = datasets.describe(datasets.load(tmp_path / "a.parquet"))
    assert described["min"].to_list() == described["max"].to_list() == described["column"].to_list()
    assert set(described["distinct"]) == {1}


def test_describe_of_a_table_that_breaks_halfway(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"n": range(50_000)}).sample(fraction=1.0, shuffle=True, seed=1).write_parquet(
        path, row_group_size=1000
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)  # whole at both ends, torn in the middle
    path.write_bytes(data)
    with pytest.raises(DataError, match="table 'a' cannot be read to its end"):
        datasets.describe(datasets.load(path))


def test_the_namespace_is_what_it_says():
    assert datasets.__all__ == sorted(datasets.__all__)
    for name in datasets.__all__:
        assert getattr(datasets, name).__doc__


def test_opening_the_room_does_not_load_what_only_downloads_and_scores_need():
    script = "import sys; from aifactory_lab import datasets; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"pooch", "requests", "tqdm", "sklearn", "pandas", "pyarrow"} & set(done.stdout.split())


def test_the_readme_of_the_folder_names_every_dataset_in_it():
    home = FOLDER.parent
    text = (home / "README.md").read_text()
    assert re.findall(r"^\| \[(\w+)\]", text, flags=re.MULTILINE) == sorted(
        p.name for p in home.iterdir() if p.is_dir()
    )
    for code in re.findall(r"^(datasets\.(?:catalogue|card)\(.*?\))", text, flags=re.MULTILINE):
        assert eval(code, {"datasets": datasets}) is not None
