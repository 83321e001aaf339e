"""Paired intervals cover, know their groups, and the overlap is Google's ROUGE-L."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import DataError
from aifactory_lab.lm.comparison import Comparison, compare, overlap


@pytest.mark.parametrize(
    ("answer", "truth", "f_measure"),
    [  # rouge_score 0.1.2, RougeScorer(["rougeL"])
        ("Return the size of the file.", "Return the file's size in bytes.", 0.4615384615384615),
        ("Close it.", "Open the door", 0.0),
        ("a b c d e f", "f e d c b a", 0.16666666666666666),
        ("The quick brown fox jumped over 2 dogs", "the QUICK fox over the 2 lazy dogs!", 0.75),
        ("def f(x): return x", "Return x from f(x)", 0.4),
        ("", "x", 0.0),
    ],
)
def test_the_overlap_is_that_of_rouge_score(answer, truth, f_measure):
    assert overlap(answer, truth) == pytest.approx(f_measure)


@given(st.text("ab .", max_size=30), st.text("ab .", max_size=30))
def test_the_overlap_is_symmetrical_and_full_only_for_the_same_words(one, other):
    assert overlap(one, other) == overlap(other, one)
    assert 0 <= overlap(one, other) <= 1
    assert (overlap(one, other) == 1) == (one.replace(".", " ").split() == other.replace(".", " ").split() != [])


def test_means_are_totals_over_weights():
    found = compare([10.0, 2.0], [5.0, 1.0], weights=[5, 1], replicates=50)
    assert (found.before.value, found.after.value, found.change.value) == (2, 1, -1)
    assert found.clear
    assert Comparison.from_dict(found.to_dict()) == found
    assert str(found) == "2.000 → 1.000 (-1.000 [-1.000, -1.000])"


def test_the_difference_is_paired():
    """What an item is like cancels out: the change is known far better than either mean."""
    random = np.random.default_rng(0)
    before = random.normal(5, 3, 200)
    found = compare(before, before - 0.2 + random.normal(0, 0.1, 200))
    assert found.clear
    assert found.change.high - found.change.low < 0.1 * (found.before.high - found.before.low)


def test_items_of_one_group_count_as_one():
    """Ten copies of each item tell nothing new, once they are drawn together."""
    random = np.random.default_rng(1)
    before, after = random.normal(3, 1, (2, 40))
    files = np.repeat(np.arange(40), 10)
    alone, copied = compare(before, after), compare(np.repeat(before, 10), np.repeat(after, 10), groups=files)
    assert (copied.items, copied.groups) == (400, 40)
    assert copied.change.high == pytest.approx(alone.change.high)
    assert compare(np.repeat(before, 10), np.repeat(after, 10)).change.high < alone.change.high


def test_the_interval_covers_as_often_as_it_says():
    random = np.random.default_rng(2)
    hits = []
    for seed in range(200):
        before, change = random.normal(4, 2, 80), random.exponential(0.5, 80)
        found = compare(before, before - change, replicates=300, seed=seed).change
        hits.append(found.low <= -0.5 <= found.high)
    assert 0.88 <= np.mean(hits) <= 0.98


def test_what_cannot_be_compared_says_so():
    for before, after in (([1.0], [1.0, 2.0]), ([], [])):
        with pytest.raises(DataError, match="cannot be compared"):
            compare(before, after)
