"""The README says only what is true: its commands exist, its lessons are the folder's, its picture is there."""

import re
import subprocess
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def test_opens_with_the_two_commands():
    commands = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert commands[:2] == ["run", "test"]


def test_every_make_target_exists_and_explains_itself():
    targets = set(re.findall(r"`?make ([a-z-]+)`?", README)) - {"setup"}
    help_text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
        assert f"make {target}" in help_text


def test_table_of_lessons_is_the_folder():
    listed = re.findall(r"^\| \d+ \| \[(\w+)\]\(notebooks/(\w+)\.ipynb\)", README, re.MULTILINE)
    assert [name for name, _ in listed] == [path for _, path in listed]
    assert [name for name, _ in listed] == [p.stem for p in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]


def test_lessons_are_called_by_their_titles():
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
        assert title.startswith("# ")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists(), link


def test_nothing_was_left_to_fill_in():
    assert not re.search(r"\b(TODO|TBD|FIXME|LESSONS|MEASURED)\b", README)


def test_every_setting_is_documented():
    code = "".join(path.read_text() for path in (ROOT / "aifactory_lab").rglob("*.py"))
    used = set(re.findall(r"AIFACTORY_[A-Z_]+", code))
    assert used == set(re.findall(r"`(AIFACTORY_[A-Z_]+)`", README))


def test_paths_that_the_readme_names_exist():
    for path in re.findall(r"`((?:aifactory_lab|datasets|notebooks|tests)/[\w./-]+)`", README):
        assert (ROOT / path).exists(), path
