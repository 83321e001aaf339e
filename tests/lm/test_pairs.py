"""Pairs: what is asked and answered, and that nothing held out was learned."""

import json
import sysconfig
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import DataError
from aifactory_lab.lm import pairs

SOURCE = '''
"""A module has a docstring too, but no signature."""
class Tank:
    """A class has none either."""
    def fill(self, litres: float, *, slowly=True) -> bool:
        """Pour so many litres in
        and tell whether they fit.

        More words that are no summary.
        """
        def spill(rest):
            """Lose what did not fit."""
async def drain(tank, /, *drops):
    """Let everything out again."""
def short(): "Too short"
def nothing(): pass
def usage(x): """usage(x) -> the value of x itself"""
def linked(x): """See https://example.org for what this does"""
def long(): """LONG"""
'''.replace("LONG", "word " * 30)


def documents(**texts):
    rows = [(name, f"{name}.py", "code", name.rstrip("_0123456789"), text) for name, text in texts.items()]
    return pl.DataFrame(rows, schema=["id", "path", "kind", "split", "text"], orient="row")


def function(name, says):
    return f'def {name}(x):\n    """{says}"""\n'


def test_a_pair_is_a_signature_and_the_first_paragraph():
    found = pairs.docstrings(documents(train=SOURCE))
    assert dict(zip(found["prompt"].str.split("\n").list.last(), found["answer"], strict=True)) == {
        "def Tank.fill(self, litres: float, *, slowly=True) -> bool:": (
            "Pour so many litres in and tell whether they fit."
        ),
        "def Tank.spill(rest):": "Lose what did not fit.",
        "async def drain(tank, /, *drops):": "Let everything out again.",
    }
    assert found["prompt"].str.starts_with(pairs.INSTRUCTION + "\n").all()
    assert found["id"].to_list()[0] == "train.py:Tank.fill"


def test_what_was_learned_is_not_held_out():
    said = function("f", "Return the first value.")
    other = function("g", "Return the first value.") + function("f", "Return quite another value.")
    found = pairs.docstrings(documents(train=said, valid=said + other + function("h", "Return the last value.")))
    assert found.filter(pl.col("split") == "valid")["id"].to_list() == ["valid.py:h"]


def test_files_that_do_not_parse_and_other_kinds_have_no_pairs():
    frame = documents(train=function("f", "Return the first value."), valid="def broken(:", valid_2="a\0b")
    prose = frame.with_columns(kind=pl.lit("prose"))
    assert pairs.docstrings(frame).height == 1
    with pytest.raises(DataError, match="0 documents of kind 'code' hold no function with a usable docstring"):
        pairs.docstrings(prose)


def test_the_standard_library_gives_pairs_in_file_order():
    root = Path(sysconfig.get_path("stdlib"))
    names = ("shutil", "textwrap", "calendar")
    found = pairs.docstrings(
        documents(**{f"train_{n}": (root / f"{name}.py").read_text() for n, name in enumerate(names)})
    )
    assert found["path"].unique(maintain_order=True).to_list() == ["train_0.py", "train_1.py", "train_2.py"]
    assert found.height > 40
    asked = found.filter(pl.col("id") == "train_2.py:isleap")
    assert asked["prompt"][0].endswith("\ndef isleap(year):")
    assert asked["answer"][0] == "Return True for leap years, False for non-leap years."


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["train", "valid"]), st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_no_question_and_no_answer_stands_on_both_sides(drawn):
    rows = [(split, f"f{name}", f"Return the value number{says}.") for split, name, says in drawn]
    texts = {f"{split}_{number}": function(name, says) for number, (split, name, says) in enumerate(rows)}
    found = pairs.docstrings(documents(**texts))
    learned, held = (found.filter(pl.col("split") == split) for split in ("train", "valid"))
    for column in ("prompt", "answer"):
        assert not set(learned[column]) & set(held[column])
    assert not found.select("prompt", "answer").is_duplicated().any()
    assert set(learned["answer"]) == {says for split, _, says in rows if split == "train"}


def test_your_own_pairs_are_split_by_their_group(tmp_path):
    path = tmp_path / "pairs.jsonl"
    lines = [{"prompt": f"p{n}", "answer": f"a{n}", "group": n // 10} for n in range(600)]
    path.write_text("\n".join(map(json.dumps, lines)))
    found = pairs.read(path)
    assert found.height == 600
    assert found.group_by("path").agg(pl.col("split").n_unique())["split"].unique().to_list() == [1]
    assert 0 < (found["split"] == "valid").mean() < 0.2
    assert pairs.read(path).equals(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"prompt": "a"}', "every line needs answer; it has prompt"),
        ('{"prompt": "a", "answer": "b"}\n{"prompt": "c"}', "every line needs answer"),
        ("not json", "holds no pairs"),
        ('{"prompt": "a", "answer": "b"}', "both splits are needed"),
    ],
)
def test_a_file_of_pairs_that_cannot_be_used_says_why(tmp_path, text, said):
    path = tmp_path / "pairs.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        pairs.read(path)
    with pytest.raises(DataError, match="holds no pairs"):
        pairs.read(tmp_path / "none.jsonl")
