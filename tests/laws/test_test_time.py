"""What more answers bring: the estimators against brute force, and the price of being right."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.laws.test_time import best_of, majority, pass_at_k, priced, stop


def samples(rows: list[list[str]], right: set[str], tokens: int = 10) -> pl.DataFrame:
    """The answers to each question; those named in `right` are right."""
    told = [(n, text, text in right, tokens) for n, row in enumerate(rows) for text in row]
    return pl.DataFrame(told, schema=("question", "answer", "correct", "tokens"), orient="row")


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_mean_over_all_choices(case):
    n, c, k = case
    right = [True] * c + [False] * (n - c)
    brute = np.mean([any(chosen) for chosen in combinations(right, k)])
    assert pass_at_k(n, c, k) == pytest.approx(brute)


def test_pass_at_k_does_not_overflow_and_keeps_its_order():
    many = [float(pass_at_k(10_000, 50, k)) for k in (1, 10, 100, 1000)]
    assert many[0] == pytest.approx(0.005)
    assert many == sorted(many)
    assert many[-1] < 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), min_size=4, max_size=4), min_size=1, max_size=4))
def test_a_vote_is_the_mean_over_all_draws(rows):
    """Brute force over every choice in the order of drawing; ours draws some of them."""

    def wins(chosen):
        return max(dict.fromkeys(chosen), key=chosen.count) == "a"

    brute = np.mean([np.mean([wins(pick) for order in rows_of(row) for pick in [order[:3]]]) for row in rows])
    found = majority(samples(rows, {"a"}), (3,), draws=250)
    assert found["accuracy"][0] == pytest.approx(brute, abs=0.15)


def rows_of(row):
    from itertools import permutations

    return list(permutations(row))


def test_a_vote_needs_no_verifier_and_cannot_find_a_rare_answer():
    told = samples([["x", "x", "a", "x"]] * 5, {"a"})
    assert best_of(told, (4,))["accuracy"][0] == 1.0
    assert majority(told, (4,))["accuracy"][0] == 0.0


def test_the_interval_is_over_questions_not_over_answers():
    """Two questions, one always right and one never: a thousand answers each say nothing of a third question."""
    told = samples([["a"] * 500, ["x"] * 500], {"a"})
    row = best_of(told, (1, 64)).row(0, named=True)
    assert (row["low"], row["accuracy"], row["high"]) == (0.0, 0.5, 1.0)
    assert best_of(told, (1, 64))["tokens"].to_list() == [10.0, 640.0]
    assert best_of(told, (1, 1000))["k"].to_list() == [1], "beyond the samples nothing is claimed"


def test_it_says_where_trying_again_stops_to_pay():
    ks = [1, 4, 16]
    curve = pl.DataFrame({"k": ks, "accuracy": [0.3, 0.6, 0.7], "tokens": [10.0, 40.0, 160.0]})
    curve = curve.with_columns((pl.col("accuracy") - 0.05).alias("low"), (pl.col("accuracy") + 0.05).alias("high"))
    control = curve.with_columns(pl.Series("accuracy", [0.1, 0.3, 0.68])).with_columns(
        (pl.col("accuracy") - 0.05).alias("low"), (pl.col("accuracy") + 0.05).alias("high")
    )
    told = priced(curve, 100.0)
    assert told["dollars"].to_list() == pytest.approx([0.001, 0.004, 0.016])
    assert told["dollars_per_correct"].to_list() == pytest.approx([0.001 / 0.3, 0.004 / 0.6, 0.016 / 0.7])
    cheap, dear = (stop(curve, control, dollars_per_mtoken=100.0, worth=worth) for worth in (0.005, 1.0))
    assert (cheap.k, dear.k, dear.beaten) == (1, 16, 16)
    assert cheap.words == "1 answer a question brings most; from 16 on, guesses are as good"
    assert dear.words == "16 answers a question bring most, the most that were tried; from 16 on, guesses are as good"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: pass_at_k(4, 5, 2), "cannot be"),
        (lambda: pass_at_k(4, 1, 5), "pass@5"),
        (lambda: best_of(pl.DataFrame({"question": [1]})), "without answer, correct, tokens"),
        (lambda: priced(pl.DataFrame({"tokens": [1.0], "accuracy": [1.0]}), 0.0), "must be positive"),
    ],
)
def test_what_cannot_be_is_said(make, said):
    with pytest.raises(TwinError, match=said) as raised:
        make()
    assert raised.value.mend
