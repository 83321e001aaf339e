"""The verifier against brute force, and puzzles that are fair."""

import random
from itertools import islice, permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.laws import answering, countdown
from aifactory_lab.laws.countdown import Puzzle, guess, verify


def reachable(numbers) -> set[int]:
    """Every number that any expression makes of all three."""
    found = set()
    for (a, b, c), first, second in product(permutations(numbers), "+-*", "+-*"):
        found |= {eval(f"({a}{first}{b}){second}{c}"), eval(f"{a}{first}({b}{second}{c})")}
    return found


@given(st.integers(0, 10_000), st.booleans())
def test_every_puzzle_has_the_solution_that_it_was_made_from(seed, held_out):
    puzzle, solution = next(countdown.puzzles(seed, held_out=held_out))
    assert verify(puzzle, solution.expression())
    assert verify(puzzle, solution.chain())
    assert puzzle.target in reachable(puzzle.numbers)
    assert puzzle.held_out == held_out
    assert countdown.LEAST <= puzzle.target <= countdown.MOST


@given(st.tuples(*[st.integers(1, 25)] * 3), st.integers(-99, 999), st.integers(0, 99))
def test_an_answer_is_right_if_and_only_if_it_makes_the_target_of_all_numbers(numbers, target, seed):
    made = guess(Puzzle(numbers, target), random.Random(seed))
    right = eval(made.expression()) == target
    assert verify(Puzzle(numbers, target), made.expression()) == right
    assert verify(Puzzle(numbers, target), made.chain()) == right


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "27",
        "25+2",
        "(25-7)*3+0",
        "(25-7)*(3)*1",
        "25-7=18",
        "25-7=18,18*3=55",
        "25-7=17,17*3=54",
        "25-7=18,3*18=54,54*1=54",
        "18*3=54",
        "(25-7)*3 if 1 else 0",
        "__import__('os')",
        "(25-7)*3.0",
        "(25-7)**3",
        "-(7-25)*3",
        "(" * 40,
        "25-7=eighteen,18*3=54",
        "True+25",
        "25and 7",
    ],
)
def test_what_is_no_answer_is_wrong(answer):
    assert not verify(Puzzle((25, 7, 3), 54), answer)


def test_what_is_learned_from_is_never_judged_on():
    learned = {(tuple(sorted(p.numbers)), p.target) for p, _ in islice(countdown.puzzles(0, held_out=False), 2000)}
    judged = countdown.some(200)
    assert len(set(judged)) == 200
    assert not learned & {(tuple(sorted(puzzle.numbers)), puzzle.target) for puzzle in judged}
    assert judged == countdown.some(200), "the same seed, the same puzzles"


def test_guesses_are_right_as_often_as_chance_says():
    puzzles = countdown.some(60)
    told = answering.guesses(puzzles, answers=100)
    assert told.height == 6000
    assert 0.05 < told["correct"].mean() < 0.15
    assert answering.guesses(puzzles, answers=2, chain=True)["answer"].str.contains("=").all()
