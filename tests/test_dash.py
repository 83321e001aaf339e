"""The boards are found, and voila's command line keeps kernels from piling up."""

import nbformat
import pytest
from typer.testing import CliRunner

from aifactory_lab import dash
from aifactory_lab.cli import app
from aifactory_lab.errors import FactoryError

NOTEBOOKS = sorted(dash.folder().glob("*.ipynb"))


def test_every_board_has_its_page():
    studios = ["catalog", "design_studio", "factory_floor"]
    assert dash.boards() == [*studios, "fleet", "gpus", "mission_control", "throughput", "training"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_pages_are_tiny_for_voila_shows_nothing_before_every_cell_has_run(path):
    notebook = nbformat.read(path, as_version=4)
    assert len(notebook.cells) == 1
    assert len(notebook.cells[0].source.splitlines()) <= 4
    assert notebook.cells[0].outputs == []
    assert notebook.metadata.kernelspec.name == "python3"


def test_the_command_line_binds_loopback_and_culls_silent_kernels():
    words = dash.command(browser=False)
    assert "--Voila.ip=127.0.0.1" in words
    assert "--MappingKernelManager.cull_connected=True" in words
    assert "--no-browser" in words
    assert not any("xsrf" in word for word in words), "the check against foreign pages stays on"
    assert "--no-browser" not in dash.command("gpus")


def test_an_unknown_board_is_named_with_those_there_are():
    with pytest.raises(FactoryError, match="no board 'paint'; there are: catalog, design_studio, factory_floor"):
        dash.command("paint")
    result = CliRunner().invoke(app, ["dash", "paint"])
    assert result.exit_code == 2
    assert "no board 'paint'" in result.output
