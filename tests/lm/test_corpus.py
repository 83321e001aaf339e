"""The standard library as a corpus: what is read is what is there, and what is left out is said."""

import inspect
import json
import logging
import pydoc_data.topics
import sysconfig
import textwrap
import tokenize
from pathlib import Path

import polars as pl
import pytest

from aifactory_lab.errors import DataError
from aifactory_lab.etl.curation import documents
from aifactory_lab.lm import corpus

ROOT = Path(sysconfig.get_path("stdlib"))
ALL = ("code", "docstring", "prose")


@pytest.fixture(scope="module")
def library() -> pl.DataFrame:
    return corpus.standard_library(ALL)


def test_code_is_the_text_of_the_files_where_they_lie(library):
    code = library.filter(kind="code")
    for name in ("json/decoder.py", "textwrap.py", "tkinter/__init__.py"):
        (text,) = code.filter(id=name)["text"]
        with tokenize.open(ROOT / name) as stream:
            assert text == stream.read()
    assert code["path"].to_list() == code["id"].to_list()


def test_neither_installed_packages_nor_tests_are_read(library):
    parts = {part for path in library["path"] for part in Path(path).parts[:-1]}
    assert not parts & {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3"}
    assert "asyncio" in parts


def test_docstrings_are_what_python_shows(library):
    found = library.filter(kind="docstring", path="textwrap.py")["text"].to_list()
    for thing in (textwrap, textwrap.TextWrapper, textwrap.dedent, textwrap.TextWrapper.wrap):
        assert inspect.getdoc(thing) in found


def test_prose_is_the_language_reference_and_is_not_read_as_code_too(library):
    prose = library.filter(kind="prose")
    assert dict(zip(prose["id"], prose["text"], strict=True)) == {
        f"{corpus.TOPICS}#{topic}": text for topic, text in pydoc_data.topics.topics.items()
    }
    assert library.filter(id=corpus.TOPICS).height == 0


def test_it_is_a_documents_frame_in_one_order(library):
    assert documents.check(library).equals(library)
    assert library["id"].is_sorted()
    assert corpus.standard_library(("prose",)).equals(library.filter(kind="prose"))


def test_some_six_in_a_hundred_paths_are_held_out_and_a_file_stays_together(library):
    paths = library.select("path", "split").unique()
    assert paths["path"].is_unique().all()
    assert 0.03 < (paths["split"] == "valid").mean() < 0.1
    for kind in ALL:
        assert set(library.filter(kind=kind)["split"]) == {"train", "valid"}


def test_what_does_not_parse_is_counted_and_said(caplog, monkeypatch):
    """Among the tests of Python's own tokenizer are files that are wrong on purpose."""
    every = corpus.sources
    monkeypatch.setattr(corpus, "sources", lambda root, tests: every(root / "test" / "tokenizedata", tests=tests))
    with caplog.at_level(logging.WARNING):
        found = corpus.standard_library(("code",), tests=True)
    (record,) = caplog.records
    count = int(record.getMessage().split()[0])
    assert count == record.getMessage().count(".py") > 2
    assert "test/tokenizedata/badsyntax_pep3120.py" in record.getMessage()
    assert count + found.height == len(every(ROOT / "test" / "tokenizedata", tests=True))


def test_tests_are_read_when_asked_for():
    assert len(corpus.sources(ROOT, tests=True)) > 2 * len(corpus.sources(ROOT))


def test_the_manifest_says_what_was_read(library):
    made = corpus.survey(("prose",))
    prose = library.filter(kind="prose")
    assert made.manifest["licence"] == "PSF-2.0"
    assert made.manifest["files"] == made.manifest["documents"] == prose.height
    assert made.manifest["bytes"] == sum(len(text.encode()) for text in prose["text"])
    assert made.left_out.columns == ["path", "why"]
    json.dumps(made.manifest)
    changed = prose.with_columns(pl.col("text").str.replace("statement", "Statement"))
    assert corpus.manifest(prose)["sha256"] == made.manifest["sha256"] != corpus.manifest(changed)["sha256"]
    assert corpus.manifest(prose.sample(fraction=1, shuffle=True, seed=1))["sha256"] == made.manifest["sha256"]


@pytest.mark.parametrize("kinds", [("code", "poems"), ()])
def test_an_unknown_kind_names_those_there_are(kinds):
    with pytest.raises(DataError, match="there are: code, docstring, prose") as caught:
        corpus.standard_library(kinds)
    assert caught.value.mend
