"""Links, pictures, paths, settings, versions: what a document points at is there, and called as it is called."""

import re
from pathlib import Path

import pytest

from tests.documents import commands, links
from tests.documents.texts import ROOT, every, markdown, readme

DOCUMENTS = pytest.mark.parametrize("document", every(), ids=lambda document: document.name)


@DOCUMENTS
def test_links_lead_somewhere(document):
    assert {line: said for line, target in document.links() if (said := links.complaint(document, target))} == {}


@DOCUMENTS
def test_paths_in_backticks_exist(document):
    assert {line: span for line, span in document.spans() if links.missing(span)} == {}


def test_pictures_are_used_and_say_what_they_show():
    used = {target: text for each in markdown() for text, target in re.findall(r"!\[(.*?)\]\((.*?)\)", each.text)}
    assert all(len(text.split()) >= 4 for text in used.values()), "an alternative text is for those who cannot see it"
    here = {f"notebooks/pictures/{path.name}" for path in (ROOT / "notebooks" / "pictures").glob("*.png")}
    lessons = "".join(path.read_text() for path in (ROOT / "notebooks" / "solutions").glob("*.ipynb"))
    assert [path for path in here - set(used) if Path(path).name not in lessons] == [], "a picture that nobody shows"


@DOCUMENTS
def test_settings_exist(document):
    code = "".join(path.read_text() for path in (ROOT / "aifactory_lab").rglob("*.py"))
    assert set(re.findall(r"AIFACTORY_[A-Z_]+", document.text)) <= set(re.findall(r"AIFACTORY_[A-Z_]+", code))


@DOCUMENTS
def test_lessons_are_called_by_numbers_that_exist(document):
    numbers = {int(path.name[:2]) for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    named = {int(found) for found in re.findall(r"\b[Ll]esson (\d+)", document.prose)}
    assert named <= numbers
    stems = {path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    assert set(re.findall(r"\b\d\d_[a-z_]{4,}\b", document.prose)) <= stems


@DOCUMENTS
def test_versions_are_pyproject_s(document):
    project = commands.project()
    minimum = str(project["requires-python"]).removeprefix(">=")
    assert set(re.findall(r"Python (3\.\d+)", document.prose)) <= {minimum}
    pinned = re.search(r"cuml-cu12\S*==(\d+\.\d+)", str(project["optional-dependencies"]))
    assert pinned
    assert set(re.findall(r"RAPIDS (\d+\.\d+)", document.prose)) <= {pinned[1]}


@DOCUMENTS
def test_boards_are_called_by_their_names(document):
    from aifactory_lab import widgets

    named = set(
        re.findall(r"`(?:widgets\.)?([A-Z][a-zA-Z]+(?:Board|Studio|Floor|Control|View|Forms))\b", document.prose)
    )
    assert named <= set(widgets.__all__)


def test_every_board_and_every_page_is_in_the_readme():
    from aifactory_lab import dash

    pages = re.findall(r"`notebooks/dashboards/(\w+)\.ipynb`", readme().text)
    alone = re.findall(r"`aifactory dash (\w+)`", readme().text)
    assert {*pages, *alone} >= set(dash.boards())


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("notebooks/00_start_here.ipynb", None),
        ("notebooks/00_start_her.ipynb", "no file"),
        ("#the-lessons", None),
        ("CONTRIBUTING.md#the-house-rules", None),
        ("CONTRIBUTING.md#the-house-rule", "no heading"),
        ("https://pypi.org/project/pdoc/", None),
        ("http://pypi.org", "not https"),
        ("https://pypi/org", "no host"),
        ("http://127.0.0.1:8000/metrics", None),
    ],
)
def test_a_stale_link_would_be_noticed(target, said):
    found = links.complaint(readme(), target)
    assert found is None if said is None else said in (found or "")
