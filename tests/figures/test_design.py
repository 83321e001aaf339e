"""The pictures of a design, as the dicts that Plotly draws."""

import json

import polars as pl
import pytest

from aifactory_lab.errors import DataError
from aifactory_lab.figures import design as figures
from aifactory_lab.twin import design, sweep, validation
from aifactory_lab.twin.design import Plant, Service

GRID = {"chassis": ["dgx-h100", "dgx-b200"], "tp": [1, 4], "concurrency": [1, 8, 64, 256], "cap_share": [0.6, 1.0]}
NAME = "tokens_per_second_per_mw"


def drawn(figure) -> dict:
    return json.loads(figure.to_json())


@pytest.fixture(scope="module")
def outcome():
    return design.evaluate(Plant(gpus=256, chassis="dgx-b200"), Service(requests_per_second=200))


@pytest.fixture(scope="module")
def front():
    return sweep.pareto(sweep.sweep(GRID), by=["chassis"])


def test_a_front_has_a_line_for_each_chassis_with_the_bands_as_error_bars(front, outcome):
    b200, h100, here = figures.pareto(front, here=outcome).data
    assert (b200.name, h100.name, here.name) == ("dgx-b200", "dgx-h100", "this design")
    own = front.filter(pl.col("chassis") == "dgx-b200")
    assert list(b200.x) == pytest.approx((own["tpot"] * 1e3).to_list())
    assert list(b200.y) == pytest.approx(own[NAME].to_list())
    low = [at - less for at, less in zip(b200.y, b200.error_y.arrayminus, strict=True)]
    assert low == pytest.approx(own[f"{NAME}_low"].to_list(), rel=1e-5)
    assert "precision: fp8" in b200.hovertext[0]
    assert "tp: " in b200.hovertext[0]
    assert here.x[0] == pytest.approx(outcome.tpot * 1e3)
    assert here.y[0] == pytest.approx(outcome.tokens_per_second_per_mw)


def test_a_waterfall_ends_where_nothing_is_left(outcome):
    figure = figures.waterfall(outcome)
    first, *groups = figure.data
    assert first.x[0] == pytest.approx(outcome.watts / 1e3)
    bars = [(base, width) for group in groups for base, width in zip(group.base, group.x, strict=True)]
    at = first.x[0]
    for base, width in bars:
        assert base + width == pytest.approx(at), "each begins where the one before it ended"
        at = base
    assert at == pytest.approx(0, abs=1e-6)
    assert "tokens/s" in figure.layout.title.text
    assert any("not validated" in group.name for group in groups)


def test_a_cost_shows_each_part_with_its_range(outcome):
    money, carbon = figures.cost(outcome).data
    assert money.y[-1] == carbon.y[-1] == "all"
    low, usual, high = outcome.bill.dollars
    assert money.x[-1] == pytest.approx(usual)
    assert money.x[-1] + money.error_x.array[-1] == pytest.approx(high)
    assert money.x[-1] - money.error_x.arrayminus[-1] == pytest.approx(low)


def test_a_sensitivity_has_the_largest_first_and_both_ends():
    frame = design.sensitivity(Plant(gpus=64), Service(requests_per_second=50))
    moved = (frame["high"] - frame["low"]).to_list()
    assert moved == sorted(moved, reverse=True)
    assert frame["assumption"][0] == "gpu_dollars"
    cheap, dear = figures.sensitivity(frame).data
    usual = frame["usual"][0]
    assert [usual + x for x in cheap.x] == pytest.approx(frame["low"].to_list())
    assert [usual + x for x in dear.x] == pytest.approx(frame["high"].to_list())


def card(**changes):
    row = {
        "check": "a", "unit": "W", "target": 100.0, "ours": 104.0, "error": 0.04, "tolerance": 0.05, "passed": True,
        "seen": False, "source": "a paper", "note": "",
    }  # fmt: skip
    return pl.DataFrame([row | changes], schema=validation.SCHEMA)


@pytest.mark.parametrize(
    ("changes", "kind", "place", "said"),
    [
        ({}, "passed", 0.8, "+4.0%, 5%"),
        ({"seen": True}, "passed, but seen by the model", 0.8, "+4.0%, 5%"),
        ({"error": -0.2, "passed": False}, "failed", -1.25, "-20.0%, 5%"),
        ({"error": 0.01, "tolerance": 0.0, "passed": False}, "failed", 1.25, "+1.0%, none"),
        ({"error": 0.0, "tolerance": 0.0}, "passed", 0, "+0.0%, none"),
        ({"target": 0.0, "ours": 0.1, "error": 0.1, "tolerance": 0.2}, "passed", 0.5, "0.100, 0.2"),
        ({"target": None, "ours": None, "error": None, "passed": None}, "not computed: no data here", 0, "–"),
    ],
)
def test_a_card_puts_each_check_where_its_error_is_and_says_so(changes, kind, place, said):
    figure = figures.card(card(**changes))
    marker, *texts = figure.data
    assert marker.name == kind
    assert marker.x[0] == pytest.approx(place)
    assert texts[-1].text[0] == said
    assert "a paper" in marker.hovertext[0]


def test_a_card_of_real_checks_names_them_all_and_counts_those_that_pass():
    frame = validation.card(["Frontier at rest", "Frontier at its peak", "GPUs of Frontier"])
    figure = drawn(figures.card(frame))
    assert figure["layout"]["title"]["text"] == "Validation: 3 of 3 published numbers met"
    assert figure["layout"]["yaxis"]["categoryarray"] == frame["check"].to_list()[::-1]


def test_what_is_not_such_a_frame_is_refused(front):
    with pytest.raises(DataError, match="tpot_high"):
        figures.pareto(front.drop("tpot_high"))
    with pytest.raises(DataError, match="tolerance"):
        figures.card(card().drop("tolerance"))
    with pytest.raises(DataError, match="usual"):
        figures.sensitivity(front)
