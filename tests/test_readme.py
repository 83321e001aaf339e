"""The README as a whole: its lessons, its settings, and the blocks that cost little, run as one would paste them."""

import re

import nbformat
import polars as pl
import pytest

from tests.documents.texts import ROOT, readme

README = readme().text


def test_table_of_lessons_is_the_folder():
    listed = re.findall(r"^\| \d+ \| \[(\w+)\]\(notebooks/(\w+)\.ipynb\)", README, re.MULTILINE)
    assert [name for name, _ in listed] == [path for _, path in listed]
    assert [name for name, _ in listed] == [p.stem for p in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]


def test_lessons_are_called_by_their_titles():
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
        assert title.startswith("# ")


def test_nothing_was_left_to_fill_in():
    assert not re.search(r"\b(TODO|TBD|FIXME|LESSONS|MEASURED)\b", README)


def test_every_setting_is_documented():
    code = "".join(path.read_text() for path in (ROOT / "aifactory_lab").rglob("*.py"))
    used = set(re.findall(r"AIFACTORY_[A-Z_]+", code))
    assert used == set(re.findall(r"`(AIFACTORY_[A-Z_]+)`", README))


@pytest.mark.parametrize("section", ["Your own data", "Three scaling laws"])
def test_blocks_that_cost_little_run_as_they_are_pasted(section, tmp_path, monkeypatch):
    """The others are run by `make newcomer`, and all are bound to real signatures in `tests/documents`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my").mkdir()
    pl.DataFrame({"late": [0, 1], "hour": [7, 8]}).write_parquet(tmp_path / "my" / "one.parquet")
    names: dict[str, object] = {}
    blocks = [block for block in readme().blocks("python") if block.section == section]
    assert blocks
    for block in blocks:
        exec(compile(block.text, str(block), "exec"), names)
