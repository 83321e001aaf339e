"""The user's own files as documents: nothing is lost, long ones are cut, and errors name the file."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import DataError
from aifactory_lab.lm import corpus
from aifactory_lab.lm.folders import _prose, files


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("Plain text.")
    (tmp_path / "deep" / "b.md").write_text("# Markdown")
    (tmp_path / "deep" / "c.py").write_bytes("# -*- coding: latin-1 -*-\ns = 'é'\n".encode("latin-1"))
    (tmp_path / "d.jsonl").write_text('{"text": "one"}\n\n{"text": "two", "id": 7}\n')
    (tmp_path / "e.bin").write_bytes(b"\xff\xfe")
    return tmp_path


def names(frame) -> dict[str, str]:
    return dict(zip(frame["id"], frame["kind"], strict=True))


def test_a_folder_is_read_with_all_below_it(folder):
    found = corpus.files(folder)
    assert names(found) == {
        "a.txt": "text",
        "d.jsonl#000001": "text",
        "d.jsonl#000003": "text",
        "deep/b.md": "prose",
        "deep/c.py": "code",
    }
    assert "s = 'é'" in found.filter(id="deep/c.py")["text"][0]
    assert found["split"].to_list().count("valid") >= 1


def test_patterns_lists_and_single_files(folder, monkeypatch):
    assert set(names(files(f"{folder}/**/*.md"))) == {"deep/b.md"}
    assert set(names(files(f"{folder}/*.txt"))) == {"a.txt"}
    assert set(names(files([folder / "a.txt", f"{folder}/deep/*.py"]))) == {"a.txt", "c.py"}
    assert set(names(files(folder / "a.txt"))) == {"a.txt"}
    monkeypatch.chdir(folder)
    assert set(names(files("*.txt"))) == {"a.txt"}


def test_one_long_book_has_something_to_hold_out(tmp_path):
    paragraphs = [f"Paragraph {number}. " + "It goes on and on. " * 20 for number in range(200)]
    (tmp_path / "book.txt").write_text("\n\n".join(paragraphs))
    found = files(tmp_path / "book.txt")
    assert "\n\n".join(found["text"]) == "\n\n".join(paragraphs)
    assert found["text"].str.len_chars().max() <= 20_000
    assert set(found["split"]) == {"train", "valid"}


@settings(deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30), max_size=20).map("\n\n".join),
    st.integers(10, 60),
)
def test_cutting_loses_nothing(tmp_path_factory, text, cut):
    path = tmp_path_factory.getbasetemp() / "cut.txt"
    path.write_text(text.lstrip("\ufeff"), encoding="utf-8", newline="")
    assert "\n\n".join(piece for _, piece in _prose(path, cut)) == text.lstrip("\ufeff")


def test_the_split_of_a_file_does_not_change_with_its_neighbours(tmp_path):
    for number in range(60):
        (tmp_path / f"{number}.txt").write_text(f"text {number}")
    before = files(tmp_path)
    (tmp_path / "new.txt").write_text("new")
    both = before.join(files(tmp_path), on="id")
    assert both["split"].to_list() == both["split_right"].to_list()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda d: files(d / "nowhere"), "no text found in .*nowhere"),
        (lambda d: files(f"{d}/*.docx"), "no text found in"),
        (lambda d: files(d / "e.bin"), r"e\.bin is no text that can be read \(\.txt"),
        (lambda d: files([d / "a.txt", d / "deep" / "a.txt"]), "two files would be the document 'a.txt'"),
    ],
)
def test_what_cannot_be_found_or_told_apart(folder, make, says):
    (folder / "deep" / "a.txt").write_text("Another.")
    with pytest.raises(DataError, match=says) as caught:
        make(folder)
    assert "lm.corpus.files" in caught.value.mend


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x.txt", b"caf\xe9 au lait", r"x\.txt is not UTF-8: invalid continuation byte at byte 3"),
        ("x.py", b"s = '\xe9'\n", r"x\.py does not decode"),
        ("x.py", b"# coding: klingon\n", r"x\.py does not decode: .*klingon"),
        ("x.jsonl", b'{"text": "a"}\n{"words": "b"}\n', r"x\.jsonl, line 2, is no JSON object with a text"),
        ("x.jsonl", b"[1]\n", "line 1, is no JSON object"),
        ("x.jsonl", b"\n", "nothing but empty files"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=says):
        files(tmp_path)


def test_json_lines_hold_any_text(tmp_path):
    texts = ["line\nfeed", 'quote " and \\', "é\u2028x"]
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    assert files(tmp_path)["text"].to_list() == texts
