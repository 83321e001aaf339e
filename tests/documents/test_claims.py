"""Every number of the README is found again by the code, or stands in a section with its date and its command."""

from pathlib import Path

import pytest

from aifactory_lab.datasets import places
from tests.datasets.test_cards import stores
from tests.documents import claims
from tests.documents.claims import CLAIMS
from tests.documents.texts import Document, readme

ID = [claim.words[:40] for claim in CLAIMS]


@pytest.mark.parametrize("claim", CLAIMS, ids=ID)
def test_claim_is_still_true(claim, monkeypatch):
    said = claim.pattern().findall(readme().text)
    assert said, "the README no longer says this: change or remove the claim in tests/documents/claims.py"
    if claim.measurements:
        if not stores():
            return  # what others measured is not on this machine; CI has it
        monkeypatch.setenv(places.VARIABLE, str(stores()[0]))
    again = claim.again()
    for each in said:
        assert ((each,) if isinstance(each, str) else each) == again


@pytest.mark.parametrize("words", claims.GIVEN)
def test_what_is_given_is_still_said(words):
    assert words.split() == [word for word in words.split() if word in readme().text]


def test_no_number_without_a_witness():
    """To mend: a claim in tests/documents/claims.py, or a date and the command that measures in the section."""
    assert list(claims.unregistered(readme())) == []


SAMPLE = """# House
## One
It has 17 rooms.
```bash
make run   # sets up 23 things
x = 99
```
## Two
| 5 | lesson 5 | `gpus=8`, GB200, [a](b/12.md) |
## Measured
Took 12.5 s on 2026-11-25; `make bench` measures again.
"""


def test_numbers_without_a_witness_would_be_noticed():
    found = claims.unregistered(Document(Path(readme().path), SAMPLE))
    assert [(line, number) for line, number, _ in found] == [(3, "17"), (5, "23")]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("recomputes 38\npublished numbers", ["38"]),
        ("recomputes thirty published numbers", ["thirty"]),
        ("recomputes published numbers", []),
    ],
)
def test_words_are_found_however_the_lines_are_broken(text, numbers):
    claim = next(each for each in CLAIMS if "published numbers" in each.words)
    assert claim.pattern().findall(text) == numbers
