"""YAML read safely: what is refused, each with its line; what is read, as plain values."""

import time
import tracemalloc

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aifactory_lab.blueprints import BlueprintError, document

BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


def refused(text: str | bytes) -> list[tuple[int, str]]:
    with pytest.raises(BlueprintError) as caught:
        document.parse(text, "b.yaml")
    assert str(caught.value).startswith("b.yaml:")
    return [(problem.spot.line, problem.what) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: !!python/object/apply:os.system [true]\n", 2, "tag"),
        ("a: 1\nb: !secret x\n", 2, "plain values only"),
        ("a: &x 1\nb: 2\n", 1, "&x: anchors and aliases are refused"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: 1\na: 2\n", 2, "a second time; the first is in line 1"),
        ("a: 1\n--- \nb: 2\n", 2, "a second document"),
        ("a:\n  - [1\nb: 2\n", 3, "not YAML"),
        ("a: 'open\nb: 2\n", 3, "not YAML"),
        ("a: 1\n? [b, c]\n: 2\n", 2, "a key is one word"),
        ("a: 1\n<<: {b: 2}\n", 2, "a key is one word"),
        ("a: 1\nb: 010\n", 2, "010 is 8 to YAML 1.1"),
        ("a: 1\nb: 12:30\n", 2, "12:30 is 750 to YAML 1.1"),
        ("a: 1\nb: 0b11\n", 2, "0b11 is 3 to YAML 1.1"),
        ("a: 1\nb: .inf\n", 2, "no number that a line can use"),
        ("a: 1\nb: .NaN\n", 2, "no number that a line can use"),
        ("a: 1\nb: " + "9" * 6000 + "\n", 2, "no int that can be read"),
        ("", 1, "nothing is written here"),
        ("# only words\n", 1, "nothing is written here"),
        ("a: 1\nb: \x00\n", 2, "not YAML"),
        (b"a: 1\nb: caf\xe9\n", 2, "byte 0xe9 is not UTF-8"),
        ("a: " + "[" * 30 + "]" * 30, 1, "levels of nesting"),
        ("a: " + "[" * 30_000, 1, "levels of nesting"),
        ("a: " + "x" * 70_000, 1, "bytes; a blueprint has at most"),
    ],
)
def test_what_is_refused_is_said_with_its_line(text, line, said):
    assert any(at == line and said in what for at, what in refused(text))


def test_a_bomb_of_aliases_costs_nothing():
    started = time.process_time()
    tracemalloc.start()
    found = refused(BOMB)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert time.process_time() - started < 5
    assert len(found) > 20


def test_several_problems_are_told_at_once():
    assert [line for line, _ in refused("a: 010\na: 2\nb: .nan\n")] == [1, 2, 3]


def test_a_tab_is_told_what_to_do():
    with pytest.raises(BlueprintError, match="YAML indents with spaces"):
        document.parse("a:\n\tb: 1\n")


def test_a_byte_order_mark_and_other_line_ends_change_nothing():
    plain = document.parse("a: 1\nb: [x, y]\n").values
    assert document.parse(b"\xef\xbb\xbfa: 1\r\nb: [x, y]\r\n").values == plain == {"a": 1, "b": ["x", "y"]}


def test_a_time_stays_text_and_numbers_are_numbers():
    found = document.parse("a: 2024-03-01\nb: 1_000\nc: 0x1F\nd: 1.5e+3\ne: no\nf: ~\ng: 0.50\nh: -0\n").values
    assert found == {"a": "2024-03-01", "b": 1000, "c": 31, "d": 1500.0, "e": False, "f": None, "g": 0.5, "h": 0}


KEYS = st.text("abcdefgh_", min_size=1, max_size=8).filter(lambda word: yaml.safe_load(word) == word)
WORDS = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), max_size=20)
SCALARS = st.one_of(st.integers(-10, 10**6), st.booleans(), st.none(), WORDS, st.floats(-1e6, 1e6))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5))
def test_what_yaml_writes_is_read_back_equal(values):
    text = yaml.safe_dump(values, allow_unicode=True)
    assert document.parse(text).values == values


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(max_size=80) | st.text("-:[]{}&*!|>'\"#%@,?\n\t a1", max_size=60))
@example("? - a\n: b")
@example("- - - -")
def test_any_text_is_read_or_refused_with_a_line(text):
    try:
        document.parse(text)
    except BlueprintError as error:
        found = error.problems
    else:
        return
    assert found
    assert all(1 <= problem.spot.line <= text.count("\n") + 2 for problem in found)
