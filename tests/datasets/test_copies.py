"""Any size from real rows: counts, keys, joins, reuse, and what happens to files that are not whole."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aifactory_lab import datasets
from aifactory_lab.datasets import copies, places
from aifactory_lab.errors import DataError

KEYS = {"flights": ["time_hour", "carrier", "flight", "origin"], "weather": ["origin", "time_hour"]}
LOCAL_KEY = ["year", "month", "day", "carrier", "flight", "origin"]
MULTIPLY = (
    "import resource, signal, sys; from pathlib import Path\n"
    "from aifactory_lab import datasets; from aifactory_lab.datasets import copies\n"
    "from aifactory_lab.errors import DataError\n"
    "tables = {p.stem: (p,) for p in Path(sys.argv[1]).glob('*.parquet')}\n"
    "raw, folder = datasets.RawMaterial('flights', tables), Path(sys.argv[2])\n"
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> datasets.RawMaterial:
    """The last two and the first two days of the year, from the real tables: the turn of the year is the trap."""
    folder = tmp_path_factory.mktemp("sample")
    raw = datasets.load("flights")
    edge = ((pl.col("month") == 12) & (pl.col("day") > 29)) | ((pl.col("month") == 1) & (pl.col("day") < 3))
    for name, table in raw.tables.items():
        (table.filter(edge) if name in copies.MOVED else table).sink_parquet(folder / f"{name}.parquet")
    return datasets.RawMaterial("flights", {name: (folder / f"{name}.parquet",) for name in raw.paths})


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 12))
def test_copies_keep_counts_keys_and_joins(sample, tmp_path, count):
    many = copies.multiply(sample, count, tmp_path)
    for name, key in KEYS.items():
        one, table = sample[name].collect(), many[name].collect()
        assert table.height == count * one.height
        assert not table.select(key).is_duplicated().any()
        assert table.schema == one.schema
    flights = many["flights"]
    assert not flights.collect().select(LOCAL_KEY).is_duplicated().any()
    joined = flights.join(many["weather"], on=["origin", "time_hour"]).collect().height
    assert joined == count * sample["flights"].join(sample["weather"], on=["origin", "time_hour"]).collect().height


@given(years=st.integers(0, copies.LAST_YEAR - copies.FIRST_YEAR), month=st.integers(1, 12), hour=st.integers(0, 23))
def test_shift_moves_the_year_and_nothing_else(years, month, hour):
    rest = f"-{month:02}-17T{hour:02}:00:00Z"
    table = pl.LazyFrame({"year": [2013], "time_hour": [f"2013{rest}"], "other": ["2013"]})
    moved = copies.shift(table, years).collect()
    assert moved.rows() == [(2013 + years, f"{2013 + years}{rest}", "2013")]


def test_new_years_eve_in_new_york_is_the_next_year_in_utc_in_every_copy(sample, tmp_path):
    many = copies.multiply(sample, 3, tmp_path)["flights"]
    evening = many.filter((pl.col("month") == 12) & (pl.col("day") == 31) & (pl.col("hour") >= 19)).collect()
    assert set(evening["year"]) == {2013, 2014, 2015}
    assert (evening["time_hour"].str.head(4).cast(pl.Int64) == evening["year"] + 1).all()


def test_one_copy_is_the_original(sample, tmp_path):
    assert copies.multiply(sample, 1, tmp_path) is sample
    assert list(tmp_path.iterdir()) == []


def test_tables_without_time_are_not_copied(sample, tmp_path):
    many = copies.multiply(sample, 2, tmp_path)
    for name in ("planes", "airports", "airlines"):
        assert many.paths[name] == sample.paths[name]


def test_copies_are_reused_and_extended(sample, tmp_path):
    first = copies.multiply(sample, 2, tmp_path)
    times = {path: path.stat().st_mtime_ns for path in first.paths["flights"]}
    more = copies.multiply(sample, 3, tmp_path)
    assert more.paths["flights"][:2] == first.paths["flights"]
    assert {path: path.stat().st_mtime_ns for path in first.paths["flights"]} == times


def test_the_same_rows_make_the_same_bytes_anywhere(sample, tmp_path):
    hashes = {copies.multiply(sample, 3, tmp_path / place).content_hash() for place in ("a", "z", "0")}
    assert len(hashes) == 1
    assert copies.multiply(sample, 2, tmp_path / "a").content_hash() not in hashes


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def damage_flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_remove(path: Path) -> None:
    path.unlink()


def damage_seal(path: Path) -> None:
    path.with_name(f"{path.name}.sha256").unlink()


def damage_seal_bytes(path: Path) -> None:
    path.with_name(f"{path.name}.sha256").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    "damage", [damage_cut, damage_flip, damage_empty, damage_remove, damage_seal, damage_seal_bytes]
)
def test_a_damaged_copy_is_made_again(sample, tmp_path, damage):
    whole = copies.multiply(sample, 2, tmp_path)
    expected = whole.content_hash()
    damage(whole.paths["flights"][1])
    assert copies.multiply(sample, 2, tmp_path).content_hash() == expected


def test_copies_of_other_source_tables_are_kept_apart(sample, tmp_path):
    few = sample["flights"].head(5).collect()
    few.write_parquet(tmp_path / "flights.parquet")
    other = datasets.RawMaterial("flights", {**sample.paths, "flights": (tmp_path / "flights.parquet",)})
    assert copies.multiply(sample, 2, tmp_path)["flights"].collect().height > 10
    assert copies.multiply(other, 2, tmp_path)["flights"].collect().height == 10


def test_a_killed_run_leaves_nothing_that_is_believed(sample, tmp_path):
    script = MULTIPLY + "copies.multiply(raw, 500, folder)"
    source = sample.paths["flights"][0].parent
    process = subprocess.Popen([sys.executable, "-c", script, str(source), str(tmp_path)])
    while len(list(tmp_path.rglob("*.sha256"))) < 3:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    torn = [path for path in tmp_path.rglob("*.parquet") if not path.name.startswith(".") and not copies.sealed(path)]
    assert len(torn) <= 1  # renamed, not sealed yet
    many = copies.multiply(sample, 5, tmp_path)
    assert many["flights"].collect().height == 5 * sample["flights"].collect().height
    assert all(copies.sealed(path) for path in many.paths["flights"])


def test_a_full_disk_is_an_error_and_leaves_nothing_that_is_believed(sample, tmp_path):
    script = MULTIPLY + (
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # no file can grow beyond a page\n"
        "try: copies.multiply(raw, 3, folder)\n"
        "except DataError as error: print(error)"
    )
    command = [sys.executable, "-c", script, str(sample.paths["flights"][0].parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "flights-2013.parquet cannot be written" in done.stdout
    assert "mend: datasets.load('flights', copies=…, folder='/a/folder/with/space')" in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_two_processes_may_make_the_same_copies_at_once(sample, tmp_path):
    script = MULTIPLY + "print(copies.multiply(raw, 20, folder).content_hash())"
    command = [sys.executable, "-c", script, str(sample.paths["flights"][0].parent), str(tmp_path)]
    pair = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    hashes = {process.communicate()[0] for process in pair}
    assert [process.returncode for process in pair] == [0, 0]
    assert hashes == {copies.multiply(sample, 20, tmp_path).content_hash() + "\n"}


def test_the_seal_is_readable_by_sha256sum(sample, tmp_path):
    path = copies.multiply(sample, 2, tmp_path).paths["weather"][1]
    done = subprocess.run(["sha256sum", "-c", f"{path.name}.sha256"], cwd=path.parent, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("count", [0, -1, 1.5, "3", None, 7987])
def test_impossible_numbers_are_refused(count):
    with pytest.raises(DataError, match="must be a whole number from 1 to 7,986") as caught:
        datasets.load("flights", copies=count)
    assert "copies=30" in caught.value.mend


def test_only_flights_can_be_copied(tmp_path):
    (tmp_path / "mine.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match="only the dataset 'flights' can be copied"):
        datasets.load(tmp_path / "mine.csv", copies=2)


def test_a_folder_that_cannot_be_written_is_an_error(sample, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        copies.multiply(sample, 2, tmp_path / "file")


def test_the_real_tables_are_copied_into_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(places.VARIABLE, str(tmp_path))
    many = datasets.load("flights", copies=2)
    assert many.name == "flights × 2"
    assert all(path.is_relative_to(tmp_path) for path in many.paths["flights"])
    assert copies.rows({name: many.paths[name] for name in ("flights", "weather")}) == {
        "flights": 2 * 336_776,
        "weather": 2 * 26_115,
    }
    assert not many["weather"].select("origin", "time_hour").collect().is_duplicated().any()
    assert many.content_hash() == datasets.load("flights", copies=2, folder=tmp_path / "other").content_hash()
