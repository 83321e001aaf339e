"""Each stage of curation beside an independent account of the same thing, in plain Python."""

import re
import unicodedata
from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.etl.curation import decontamination, documents, duplicates, filters, normalising, redaction, tags
from aifactory_lab.etl.curation.processors import Host

HOST = Host()
TEXT = st.text(st.sampled_from("aZé1 _#.…-*\t\n()") | st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]))
LABEL = st.text("abcxyz019", min_size=1, max_size=8)
ADDRESS = st.builds(
    lambda local, host, top: f"{local}@{host}.{top}",
    st.lists(LABEL, min_size=1, max_size=3).flatmap(
        lambda parts: st.sampled_from([".", "_", "+", "-"]).map(lambda s: s.join(parts))
    ),
    st.lists(LABEL, min_size=1, max_size=3).map(".".join),
    st.sampled_from(["com", "org", "co.uk", "museum", "io"]),
)


def measured(name: str, text: str) -> float:
    return pl.DataFrame({"text": [text]}).select(filters.MEASURES[name]).item()


def test_what_replaces_is_taken_as_it_is():
    assert HOST.replace(pl.Series(["a1b"]), "[0-9]", "$0 $").to_list() == ["a$0 $b"]


# ---- normalising


@settings(deadline=None)
@given(st.text(st.sampled_from("a \t\r\n\x0c\x00é\ufeff") | st.characters(codec="utf-8")))
def test_normalising_is_what_plain_python_does_and_doing_it_twice_changes_nothing(text):
    (ours,) = normalising.normalise(pl.Series([text]), HOST)
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "").replace("\u00ad", "")
    plain = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", unicodedata.normalize("NFC", plain))
    plain = re.sub(r"\n{4,}", "\n\n\n", re.sub(r"[ \t]+\n", "\n", plain)).lstrip("\n").rstrip(" \t\n")
    assert ours == plain
    assert normalising.normalise(pl.Series([ours]), HOST).to_list() == [ours]


def test_the_given_texts_are_left_as_they_are():
    given_texts = pl.Series(["e\u0301", "plain"])
    normalising.normalise(given_texts, HOST)
    normalising.compose(given_texts)
    assert given_texts.to_list() == ["e\u0301", "plain"]


# ---- exact duplicates


@settings(deadline=None)
@given(st.lists(st.sampled_from(["", "a", "b", "ab", "ba", "é", "e\u0301"]), max_size=30))
def test_exact_duplicates_point_to_the_first_of_their_text(found):
    frame = pl.DataFrame({"row": range(len(found)), "text": found}, schema={"row": pl.UInt32, "text": pl.String})
    expected = {(row, found.index(text)) for row, text in enumerate(found) if found.index(text) != row}
    assert set(duplicates.duplicates(frame.lazy()).collect().rows()) == expected


# ---- quality


@settings(deadline=None)
@given(TEXT)
def test_measures_are_what_plain_python_counts(text):
    words, lines, size = text.split(), text.split("\n"), max(len(text), 1)
    letters = sum(unicodedata.category(c)[0] == "L" for c in text)
    expected = {
        "characters": len(text),
        "words": len(words),
        "lines": len(lines),
        "mean word length": sum(map(len, words)) / max(len(words), 1),
        "mean line length": len(text) / len(lines),
        "characters that are white space": sum(c.isspace() for c in text) / size,
        "characters that are digits": sum(c in "0123456789" for c in text) / size,
        "hashes and ellipses per word": (text.count("#") + len(re.findall(r"\.\.\.|…", text))) / max(len(words), 1),
        "lines with a bullet": sum(line.lstrip(" \t").startswith(("-", "*", "•")) for line in lines) / len(lines),
        "lines that end in an ellipsis": sum(line.endswith(("...", "…")) for line in lines) / len(lines),
        "lines that are a comment": sum(line.lstrip(" \t").startswith("#") for line in lines) / len(lines),
    }
    for name, value in expected.items():
        assert measured(name, text) == pytest.approx(value), name
    assert measured("characters that are letters", text) >= letters / size - 1e-9


def test_words_longer_than_a_thousand_characters_are_seen():
    assert [measured("words of 1,000 characters", "x" * n + " y") for n in (999, 1_000, 3_000)] == [0, 1, 1]


GOOD = {
    "prose": "The house has a door that opens to the garden, and all of the people have to be with it. " * 4,
    "docstring": "Return the canonical path of a file, without symbolic links.",
    "code": "\n".join(f"value_{n} = compute(value_{n - 1}, step={n})  # keep" for n in range(20)),
}
BAD = {
    ("prose", "words"): "The people of the house have to be with that.",
    ("docstring", "words"): "Do nothing.",
    ("code", "lines"): "x = 1\n" * 5,
    ("prose", "mean word length"): "a b c to be of I am x y " * 20,
    (
        "docstring",
        "mean word length",
    ): "incomprehensibilities counterrevolutionaries disproportionateness uncharacteristically",
    ("code", "mean line length"): "\n".join("value = " + " + ".join(["term"] * 20) for _ in range(12)),
    ("code", "words of 1,000 characters"): "\n".join(["x = 1"] * 11 + ["x" * 1001] + ["y = 2"] * 11),
    ("code", "characters that are letters"): "\n".join(["0x00, 0x01, 0x02, 0x03"] * 12),
    ("prose", "characters neither letter nor digit"): "(the) [of] {and} -->> ++ " * 20,
    ("docstring", "characters neither letter nor digit"): "a <<>> b <<==>> c ||&&|| d !!??",
    ("prose", "characters that are digits"): "the number 1234 of 56789 and 23456 that " * 10,
    ("prose", "characters that are white space"): "there    which    those    and   " * 15,
    ("prose", "hashes and ellipses per word"): "the tag #one of #two and #three that have " * 10,
    ("prose", "words with a letter"): "houses === because === there === with === " * 10,
    ("prose", "stop words"): "Lazy dogs sleep under warm suns, never moving, always dreaming, sometimes barking. " * 6,
    ("prose", "lines with a bullet"): "\n".join(["- one of the things that have to be"] * 12),
    ("prose", "lines that end in an ellipsis"): "\n".join(["this is one of the things that have to be..."] * 12),
    ("code", "lines that are a comment"): "\n".join(["# value = compute(value, step)"] * 12),
    ("prose", "lorem ipsum"): "Lorem ipsum is the text that printers have to use, and it is one of the oldest. " * 5,
    ("code", "XML header"): '<?xml version="1.0"?>\n' + "\n".join(["<item>value of a thing</item>"] * 12),
}


@pytest.mark.parametrize("kind", GOOD)
def test_good_documents_pass(kind):
    assert failed(kind, GOOD[kind]) is None


@pytest.mark.parametrize(("kind", "rule"), BAD, ids=lambda value: value)
def test_each_rule_finds_what_it_is_for(kind, rule):
    assert failed(kind, BAD[kind, rule]) == rule


def test_every_rule_is_tried_and_says_whose_it_is():
    assert {rule.measure for rule in filters.RULES} == {rule for _, rule in BAD}
    assert all(rule.source and rule.low <= rule.high for rule in filters.RULES)
    assert {rule.measure for rule in filters.RULES} <= set(filters.MEASURES)
    assert filters.table().height == len(filters.RULES)


def test_an_unknown_kind_is_judged_as_text():
    assert failed("poem", BAD["prose", "words"]) == failed("text", BAD["prose", "words"]) == "words"


def failed(kind: str, text: str) -> str | None:
    frame = pl.LazyFrame({"row": [0], "kind": [kind], "text": [text]})
    found = filters.failures(frame).collect()
    return found["rule"][0] if found.height else None


# ---- redaction


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["", "Mail ", "<", "(", "mailto:", "see\n"]), ADDRESS), max_size=5),
    st.text(max_size=20),
)
def test_no_address_is_left_and_the_rest_is(pairs, end):
    text = "; ".join(before + address for before, address in pairs) + " " + end.replace("@", "")
    (ours,) = redaction.redact(pl.Series([text]), HOST)
    assert not any(address in ours for _, address in pairs)
    assert ours.count("<EMAIL>") == len(pairs)
    assert ours.endswith(end.replace("@", ""))
    assert redaction.redact(pl.Series([ours]), HOST).to_list() == [ours]


@settings(deadline=None)
@given(st.text())
def test_what_remains_holds_nothing_of_the_kind(text):
    (ours,) = redaction.redact(pl.Series([text]), HOST, tuple(redaction.PATTERNS))
    assert not any(re.search(pattern, ours) for pattern in redaction.PATTERNS.values())
    if "@" not in text and not re.search(r"[0-9]\.", text):
        assert ours == text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("@decorator.name", "@decorator.name"),
        ("a@b.T + c@d", "a@b.T + c@d"),
        ("user@localhost", "user@localhost"),
        ("x = 'AKIAABCDEFGHIJKLMNOP'", "x = '<KEY>'"),
        ("ghp_" + "a1" * 18, "<KEY>"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "<KEY>"),
        (
            "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
        ),
        ("version 10.0.0.1", "version 10.0.0.1"),
    ],
)
def test_what_is_an_address_or_a_key_and_what_is_not(text, redacted):
    assert redaction.redact(pl.Series([text]), HOST).to_list() == [redacted]


def test_internet_addresses_go_when_asked_for():
    assert redaction.redact(pl.Series(["at 127.0.0.1:80"]), HOST, ("ipv4",)).to_list() == ["at <IPV4>:80"]


# ---- decontamination

VOCABULARY = [f"{a}{b}" for a in "abcd" for b in "xyz"]
BLOCKS = [" ".join(VOCABULARY[(7 * n + k * k) % 12] for k in range(15)) for n in range(6)]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["train", "valid"]), st.lists(st.sampled_from([*BLOCKS, "and", "So,"]), max_size=4)),
        min_size=1,
        max_size=10,
    ),
    st.integers(1, 4),
)
def test_collisions_are_those_of_brute_force(found, most):
    sides = [side for side, _ in found]
    texts = [" - ".join(blocks).title() for _, blocks in found]
    frame = pl.DataFrame({"row": range(len(found)), "split": sides, "text": texts}, schema_overrides={"row": pl.UInt32})
    ours, held = (decontamination.words(frame.filter(split=side), HOST).lazy() for side in ("train", "valid"))
    query = decontamination.collisions(ours, held, most=most)
    assert set(query.collect().select("row", "hits", "passages", "example").rows()) == brute_force(sides, texts, most)


def brute_force(sides, texts, most) -> set[tuple[int, int, int, int]]:
    """Thirteen words in a row as tuples; no hashes, no joins."""
    passages = []
    for text in texts:
        words = re.findall(r"[a-z]+", text.lower())
        passages.append([tuple(words[i : i + 13]) for i in range(len(words) - 12)])
    held, spread = {}, defaultdict(set)
    for row, side in enumerate(sides):
        for passage in passages[row]:
            held.setdefault(passage, row) if side == "valid" else spread[passage].add(row)
    found = set()
    for row, side in enumerate(sides):
        hits = [p for p in passages[row] if side == "train" and p in held and len(spread[p]) <= most]
        if hits:
            found.add((row, len(hits), len(passages[row]), min(held[p] for p in hits)))
    return found


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["to", "be", "or", "not"]), max_size=40), min_size=1, max_size=6))
def test_equal_passages_have_equal_hashes_and_none_reaches_past_a_text(found):
    frame = pl.DataFrame({"row": range(len(found)), "text": [" ".join(words) for words in found]})
    hashed = decontamination.passages(decontamination.words(frame, HOST).lazy()).collect()
    tuples = [tuple(words[i : i + 13]) for words in found for i in range(len(words) - 12)]
    assert hashed.height == len(tuples)
    pairs = set(zip(tuples, hashed["passage"], strict=True))
    assert len(pairs) == len(set(tuples)) == hashed["passage"].n_unique()


# ---- tags


def test_tags_tell_prose_from_tables_and_code_with_docstrings():
    texts = [GOOD["prose"], "\n".join(["1 | 2 | 3"] * 9), 'def f():\n    """Do."""\n    # Copyright 2026\n', "x = 1\n"]
    found = tags.tags(pl.LazyFrame({"row": range(4), "text": texts})).collect()
    assert found["english"].to_list() == [True, False, False, False]
    assert found["has_docstring"].to_list() == [False, False, True, False]
    assert found["has_licence"].to_list() == [False, False, True, False]
    assert found["lines"].to_list() == [1, 9, 4, 2]


@settings(deadline=None)
@given(st.text(st.sampled_from("aZé1 _#.,!\n()")))
def test_the_share_of_prose_is_what_plain_python_counts(text):
    (share,) = tags.tags(pl.LazyFrame({"row": [0], "text": [text]})).collect()["prose"]
    words = text.split()
    assert share == pytest.approx(
        sum(re.fullmatch("[A-Za-z]+[.,;:!?]?", w) is not None for w in words) / max(len(words), 1)
    )


# ---- the split


@settings(deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_the_split_is_of_the_path_alone(paths):
    for path in paths:
        assert documents.split(path) == documents.split(path)
        assert documents.split(path, share=0.0) == "train"
        assert documents.split(path, share=1.0) == "valid"


def test_six_in_a_hundred_paths_are_held_out():
    assert np.isclose(np.mean([documents.split(f"{n}") == "valid" for n in range(5_000)]), 0.06, atol=0.015)
