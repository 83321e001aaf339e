"""What AI factories are made of: every line of the table runs, and what it claims to lack is still lacking."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aifactory_lab import catalog
from aifactory_lab.catalog import inventory
from aifactory_lab.cli import app

ROWS = catalog.systems().to_dicts()
README = Path(__file__).parents[2] / "README.md"
SEED = """CUDA; CUDA-X; Hopper; Blackwell; DGX; SuperPOD; NVLink; NVSwitch; InfiniBand; Spectrum-X; BlueField;
Grace Hopper; C2C; AI Enterprise; NIM; NeMo; Base Command; Run:AI; Mission Control; Omniverse;
Blueprint for AI factory design; Pre-training; Post-training; Test-time; Token throughput; decisions;
ingestion to inference; per watt; per dollar"""

pytestmark = pytest.mark.timeout(600)


def shell(line: str) -> list[str]:
    return shlex.split(line)[1:]


@pytest.fixture
def here(workspace, monkeypatch, tmp_path):
    """An empty folder to work in, beside the catalogue's workspace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIFACTORY_WORKSPACE", str(workspace))
    monkeypatch.setenv("AIFACTORY_CACHE", str(workspace / "cache"))
    monkeypatch.setenv("AIFACTORY_FLEET", str(tmp_path / "fleet"))
    return tmp_path


@pytest.mark.parametrize("name", [name.strip() for name in SEED.split(";")])
def test_nothing_of_the_seed_is_left_out(name):
    assert any(name in row["system"] for row in ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if row["takes"] == "seconds"], ids=lambda row: row["system"])
def test_a_line_that_takes_seconds_runs_as_written(row, here, capsys):
    line = row["line"]
    if inventory.is_shell(line):
        done = CliRunner().invoke(app, shell(line))
        assert done.exit_code == 0, done.output
        printed = done.output
    else:
        exec(compile(line, row["system"], "exec"), {})  # our own file
        printed = capsys.readouterr().out
    assert printed.strip(), "a line shows something"
    if "usd" in line:
        assert list((here / "hall").iterdir())


@pytest.mark.parametrize("row", [row for row in ROWS if row["takes"] != "seconds"], ids=lambda row: row["system"])
def test_a_line_that_takes_longer_is_understood(row):
    words = shell(row["line"])
    assert CliRunner().invoke(app, [*words[:1], "--help"]).exit_code == 0
    if words[:2] == ["catalog", "run"]:
        assert catalog.find(words[2]).command.startswith(row["line"])
    elif words[0] == "dash":
        assert catalog.find(f"dashboards/{words[1]}").command == row["line"]
    elif len(words) > 1 and not words[1].startswith("-"):
        assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0


def test_seven_times_pcie_is_what_the_sources_give(capsys):
    (row,) = [row for row in ROWS if "C2C" in row["system"]]
    exec(row["line"], {})
    assert round(float(capsys.readouterr().out)) == 7


@pytest.mark.parametrize(
    ("word", "where"),
    [
        (r"bluefield|\bdpu\b", "twin/*.py"),
        (r"spectrum", "twin/*.py"),
        (r"\bnvls\b|\bsharp\b", "twin/*.py"),
        (r"cugraph|cuvs|cuopt", "**/*.py"),
        (r"import kubernetes", "**/*.py"),
    ],
)
def test_what_is_said_to_be_missing_is_missing(word, where):
    """So that whoever builds it corrects the table, too."""
    package = Path(catalog.__file__).parents[1]
    found = [path for path in package.glob(where) if re.search(word, path.read_text(), re.IGNORECASE)]
    assert not [path for path in found if "catalog" not in path.parts]


def test_the_table_as_markdown_has_a_row_for_each_system():
    lines = catalog.markdown(catalog.systems()).splitlines()
    assert len(lines) == len(ROWS) + 2
    assert all(line.replace(r"\|", "").count("|") == 6 for line in lines)
    assert "`aifactory fleet up` (needs Slurm)" in "\n".join(lines)


def test_the_readme_has_the_table_as_it_is():
    assert catalog.markdown(catalog.systems()) in README.read_text()
