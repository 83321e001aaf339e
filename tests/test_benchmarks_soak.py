"""The soak judges: growth is found among noise, books that disagree are named, a wrong answer is written down."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import httpx
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.soak import asked, memory, predictions, verdict

SECONDS = np.arange(0, 3600, 5.0)


def held(slope: float, *, noise: float = 0.0, seed: int = 0, **still: int) -> list[dict]:
    """What `verdict.growth` says of an hour of a process that grows so many MiB/h after a warm-up of 20 MiB."""
    bend = 20 * np.minimum(SECONDS / 600, 1)
    values = 200 + bend + slope * SECONDS / 3600 + noise * np.random.default_rng(seed).standard_normal(len(SECONDS))
    samples = pl.DataFrame({"seconds": SECONDS, "process": "engine", "rss": values, "anonymous": values})
    before = {"descriptors": 17, "sockets": 3, "threads": 5, "cpu": 1.0}
    return verdict.growth(samples, {"engine": (before, {**before, "cpu": 9.0, **still})})


@given(st.floats(-5, 60), st.floats(0, 3), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_slope_is_found_whatever_the_warm_up_was(slope, noise, seed):
    (row,) = held(slope, noise=noise, seed=seed)
    assert row["RSS MiB/h"] == pytest.approx(slope, abs=0.05 + 1.5 * noise)


@pytest.mark.parametrize(
    ("slope", "still", "verdict"),
    [
        (0.0, {}, "yes"),
        (9.0, {}, "yes"),
        (12.0, {}, "NO"),
        (0.0, {"descriptors": 30}, "NO"),
        (0.0, {"threads": 8}, "NO"),
    ],
)
def test_what_grows_does_not_hold(slope, still, verdict):
    assert held(slope, **still)[0]["held"] == verdict


def test_a_run_too_short_to_tell_does_not_hold():
    assert memory.slope([0, 5, 10], [1, 1, 1]).high == np.inf


def test_books_must_agree_but_for_what_nobody_waited_for():
    book = asked.Asked()
    book.count("predictions", 200, 5)
    book.unsure["predictions", "200"] += 2
    text = 'aifactory_requests_total{status="200"} %s.0\naifactory_requests_created{status="200"} 1.0\n'
    for told, agree in ((4, "NO"), (5, "yes"), (7, "yes"), (8, "NO")):
        (row,) = verdict.books(book, verdict.counted("predictions", text % told))
        assert (row["server counted"], row["agree"]) == (told, agree)
    (row,) = verdict.books(asked.Asked(), Counter({("tokens", "500"): 1}))
    assert row["agree"] == "NO"


class Off:
    """A model that says what the server does not."""

    def __call__(self, rows):
        return np.full(len(rows), 0.25, np.float32)


def test_a_wrong_answer_is_written_down_and_the_soak_goes_on(capsys):
    plant = SimpleNamespace(
        predictions=SimpleNamespace(url="http://soak"),
        rows=np.zeros((9, 2), np.float32),
        champions={"v1": Off()},
        schema=SimpleNamespace(names=["hour", "distance"]),
    )
    book = asked.Asked()
    client = predictions.Predictions(plant, book, seed=0)
    told = iter([0.25, 0.26])

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"probability": next(told)}, headers={"x-model-version": "v1"})

    async def twice() -> None:
        async with httpx.AsyncClient(base_url="http://soak", transport=httpx.MockTransport(answer)) as client.client:
            for _ in range(2):
                with book.act("predictions", "one_row", valid=True):
                    await client.one_row()

    asyncio.run(twice())
    assert [bool(act["what"]) for act in book.acts] == [False, True]
    assert "off by 0.00" in capsys.readouterr().out
    (row,) = verdict.quarters(book.frame())
    assert row["answered right"] == 0.5
