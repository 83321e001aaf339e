"""Docstrings keep their rules, and what they name exists."""

import pytest

from tests.reference import crossings, docstrings
from tests.reference.surface import Public, everything, packages, public_names


def test_the_surface_is_the_house_s():
    """Lazy packages included: what `__all__` promises is there, and more than a few names are public."""
    names = {public.name for public in public_names()}
    assert {
        "aifactory_lab.serve.llm.start",
        "aifactory_lab.lm.pretrain.run",
        "aifactory_lab.widgets.GpuBoard",
    } <= names | {public.name for public in everything()}
    assert len(packages()) > 30
    assert len(names) > 200


def test_everything_without_an_underscore_keeps_the_rules():
    found = {public.home: said for public in everything() if (said := list(docstrings.complaints(public)))}
    assert not found, "the rules: tests/reference/docstrings.py"


def test_every_public_name_says_what_its_caller_needs():
    found = {public.home: said for public in public_names() if (said := list(docstrings.public_complaints(public)))}
    assert not found, "the rules: tests/reference/docstrings.py"


def test_names_in_backticks_are_found():
    found = {public.home: said for public in everything() if (said := list(crossings.unresolved(public)))}
    assert not found


def undocumented(rows):
    pass


def documents_another(rows):
    """Return rows.

    Parameters
    ----------
    row
        One.
    """


def raises_nobody(rows):
    """Return rows.

    Raises
    ------
    NoSuchError
        Never.
    """


def silent(rows, columns, upside_down) -> int:
    """Count the rows and the columns."""
    return 0


def names_nothing(rows):
    """Return `rows`, as `etl.runn` does, not as `datasets.load` or `pytest.raises` do."""


@pytest.mark.parametrize(
    ("thing", "rules"),
    [(undocumented, {"GL08"}), (documents_another, {"PR02"}), (raises_nobody, {"raises"}), (names_nothing, set())],
)
def test_a_broken_rule_would_be_noticed(thing, rules):
    assert {rule for rule, _ in docstrings.complaints(Public("here.x", thing))} == rules


def test_a_silent_docstring_would_be_noticed():
    found = dict(docstrings.public_complaints(Public("here.silent", silent)))
    assert found["parameters"] == "not a word of upside_down"
    assert found["returns"]


def test_a_stale_name_would_be_noticed():
    assert list(crossings.unresolved(Public("here.x", names_nothing))) == ["etl.runn"]
