"""The pages: every public module has one, no link is broken, the command line and the settings are all there."""

import re

import pytest

from tests.documents.commands import program
from tests.reference import commandline, settings, site
from tests.reference.pages import broken

# Lazy packages, a station, a room with classes, one with constants: the rest is made by the same hands (`make docs`).
SOME = (
    *("aifactory_lab", "aifactory_lab.device", "aifactory_lab.errors", "aifactory_lab.etl", "aifactory_lab.fleet"),
    *("aifactory_lab.datasets", "aifactory_lab.widgets", "aifactory_lab.twin.design", "aifactory_lab.measure"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    site.build(folder, SOME)
    return folder


def test_every_public_module_has_a_page():
    named = site.public_modules()
    assert set(SOME) < set(named)
    assert {"aifactory_lab.serve.llm", "aifactory_lab.twin.mirror", "aifactory_lab.telemetry.prometheus"} <= set(named)


def test_no_link_is_broken(folder):
    missing = {name.rpartition("/")[2] for name in map(site.page_of, site.public_modules())}  # not built here
    lead_nowhere = [each for each in broken(folder) if each.split("/")[-1].split("#")[0] not in missing]
    lead_nowhere = [each for each in lead_nowhere if not each.endswith(".traits")]  # in what traitlets says of itself
    assert lead_nowhere == []


def test_a_page_shows_what_a_lazy_package_promises(folder):
    text = (folder / "aifactory_lab" / "fleet.html").read_text()
    assert 'id="Fleet.submit"' in text
    assert "Parameters" in text
    assert 'id="GpuBoard"' in (folder / "aifactory_lab" / "widgets.html").read_text()


def test_the_index_names_the_rooms_and_nothing_is_fetched(folder):
    text = (folder / "index.html").read_text()
    assert "commandline.html" in text
    assert "aifactory_lab/etl.html" in text
    for page in folder.rglob("*.html"):
        assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=\"https?:", page.read_text()), page


def test_the_search_finds_public_names(folder):
    assert "aifactory_lab.etl" in (folder / "search.js").read_text()


def commands(group, path="aifactory"):
    for name, command in group.commands.items():
        yield from commands(command, f"{path} {name}") if hasattr(command, "commands") else [f"{path} {name}"]


def test_the_command_line_is_all_there():
    text = commandline.markdown()
    for command in commands(program()):
        assert f"## {command}\n" in text
    assert "| `--copies` | `1` |" in text


def test_every_setting_is_told():
    assert set(settings.told()) == set(settings.used())
    assert all(f"| `{name}` | {settings.told()[name]} |" in settings.markdown() for name in settings.used())
