"""The pictures of token load tests, as the dicts that Plotly draws."""

import math

import numpy as np
import polars as pl
import pytest

from aifactory_lab.figures import theme, tokens
from aifactory_lab.serve.load import Slo, TokenReport
from aifactory_lab.serve.load.records import Record
from aifactory_lab.serve.load.token_tables import frame

MILLI = 1_000_000


def record(number: int, sent: int, first: int, last: int, outcome: str = "200", scheduled: int | None = None) -> Record:
    """Return a request whose times are in milliseconds."""
    chunks = tuple(int(one) for one in np.linspace(first, last, 5) * MILLI)
    due = None if scheduled is None else scheduled * MILLI
    return Record(
        number,
        start=sent * MILLI,
        end=(last + 1) * MILLI,
        outcome=outcome,
        input_tokens=9,
        output_tokens=5,
        chunks=chunks,
        scheduled=due,
    )


@pytest.fixture
def reports() -> list[TokenReport]:
    """Eight times the load: more tokens for all, fewer for each."""
    return [
        TokenReport("m", tuple(record(n, 0, 20 * k, 20 * k + 40 * k) for n in range(k * k)), concurrency=k, engine="a")
        for k in (8, 1, 2)
    ]


def test_pareto_draws_each_engine_in_the_order_of_concurrency(reports):
    table = frame(reports)
    figure = tokens.pareto({"a": table, "b": table.with_columns(pl.col("tokens_per_second") / 2)})
    assert [trace.name for trace in figure.data] == ["a", "b"]
    assert list(figure.data[0].text) == ["1", "2", "8"]
    assert list(figure.data[0].x) == pytest.approx([100, 50, 12.5])
    assert list(figure.data[0].y) == table.sort("concurrency")["tokens_per_second"].to_list()
    assert list(figure.data[1].y) == pytest.approx([one / 2 for one in figure.data[0].y])
    assert figure.data[0].line.color != figure.data[1].line.color


def test_pareto_may_be_drawn_against_the_time_from_token_to_token(reports):
    figure = tokens.pareto(frame(reports), x="itl_p50")
    assert figure.data[0].name == "a"
    assert list(figure.data[0].x) == pytest.approx([10, 20, 80])
    assert "milliseconds" in figure.layout.xaxis.title.text


def test_latency_shows_percentiles_and_the_objective_where_it_is(reports):
    figure = tokens.latency(frame(reports), of="ttft", slo_ms=50)
    assert [trace.name for trace in figure.data] == ["p50", "p90", "p99"]
    assert list(figure.data[0].y) == pytest.approx([20, 40, 160])
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    assert list(figure.layout.xaxis.ticktext) == ["1", "2", "8"]
    assert figure.layout.shapes[0].y0 == 50
    assert figure.layout.annotations[0].y == pytest.approx(math.log10(50))
    two = tokens.latency({"a": frame(reports), "b": frame(reports)}, of="itl")
    assert [trace.name for trace in two.data][::3] == ["a p50", "b p50"]


def test_timeline_counts_from_the_arrival_and_sorts_by_how_it_went():
    records = (
        record(0, 0, 10, 90, scheduled=0),
        record(1, 30, 120, 200, scheduled=20),
        record(2, 50, 60, 70, outcome="429", scheduled=50),
    )
    report = TokenReport("m", records, slo=Slo(ttft_ms=50), offered=12.0)
    figure = tokens.timeline(report)
    under, *groups = figure.data
    assert {trace.name: trace.marker.color for trace in groups} == {
        "within the SLO": theme.GOOD,
        "outside the SLO": theme.COLOURS[1],
        "failed": theme.BAD,
    }
    assert list(groups[1].x) == [0.02]
    assert list(groups[1].y) == [100.0]  # sent 10 ms late, first token 90 ms after that
    assert list(under.y) == [1, 2, 3, 2, 1, 0]
    assert list(under.x) == pytest.approx([0, 0.03, 0.05, 0.071, 0.091, 0.201])
    assert "12 arrivals/s" in figure.layout.title.text
    assert "1 failed" in figure.layout.title.text


def test_timeline_without_an_objective_judges_nothing():
    figure = tokens.timeline(TokenReport("m", (record(0, 0, 10, 90), record(1, 0, 10, 90))))
    assert [trace.name for trace in figure.data] == ["under way (right)", "answered"]
    assert list(figure.data[1].y) == [10, 10]
