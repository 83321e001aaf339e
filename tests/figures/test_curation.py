"""The pictures of curation, as the dicts that Plotly draws."""

import json

import polars as pl
import pytest

from aifactory_lab.etl.curation import minhash, result, trial
from aifactory_lab.figures import curation, theme

FUNNEL = pl.DataFrame(
    [("normalise", 10, 10, 0, 4, 100, 95), ("exact duplicates", 10, 7, 3, 0, 95, 60)],
    schema=result.FUNNEL_SCHEMA,
    orient="row",
)
REASONS = pl.DataFrame(
    [("exact duplicate", "docstring", 5, 100), ("near duplicate", "code", 2, 900), ("exact duplicate", "code", 1, 50)],
    schema=["reason", "kind", "documents", "bytes"],
    orient="row",
)


def drawn(figure) -> list[dict]:
    return json.loads(figure.to_json())["data"]


def test_the_funnel_starts_with_what_came_in_and_says_what_each_stage_lost():
    (bars,) = drawn(curation.funnel(FUNNEL))
    assert bars["y"] == ["raw", "normalise", "exact duplicates"]
    assert bars["x"] == [10, 10, 7]
    assert bars["text"] == ["10", "10", "7 −3"]
    assert "0.00 MB" in bars["customdata"][2]
    assert curation.funnel(FUNNEL).layout.yaxis.autorange == "reversed"


def test_reasons_stack_the_kinds_and_the_most_frequent_stands_on_top():
    figure = curation.reasons(REASONS)
    assert {bar["name"]: dict(zip(bar["y"], bar["x"], strict=True)) for bar in drawn(figure)} == {
        "code": {"near duplicate": 2, "exact duplicate": 1},
        "docstring": {"exact duplicate": 5},
    }
    assert figure.layout.barmode == "stack"
    assert list(figure.layout.yaxis.categoryarray) == ["near duplicate", "exact duplicate"]


def test_a_kind_keeps_its_colour_whatever_else_is_there():
    alone = drawn(curation.reasons(REASONS.filter(kind="docstring")))[0]["marker"]["color"]
    both = {bar["name"]: bar["marker"]["color"] for bar in drawn(curation.reasons(REASONS))}
    assert both["docstring"] == alone == theme.COLOURS[1]
    poems = curation.reasons(REASONS.with_columns(kind=pl.lit("poem")))
    assert drawn(poems)[0]["name"] == "poem"


def test_the_s_curve_is_the_one_of_the_settings_with_what_was_measured_on_it():
    texts = ["".join(chr(97 + (n * n + n * k) % 23) for n in range(600)) for k in range(3)]
    curve = trial.curve(trial.trial(texts, shares=(0.0, 0.05), copies=2))
    line, points = drawn(curation.s_curve(curve))
    assert line["y"][160] == pytest.approx(minhash.candidate_probability(0.8))
    assert points["y"][-1] == 1.0
    assert points["customdata"] == curve["pairs"].to_list()
    (steepest,) = curation.s_curve(curve).layout.shapes
    assert steepest.x0 == pytest.approx(minhash.MinHash().threshold)


@pytest.mark.parametrize(
    "figure",
    [
        lambda: curation.funnel(FUNNEL.clear()),
        lambda: curation.reasons(REASONS.clear()),
        lambda: curation.s_curve(pl.DataFrame(schema={"jaccard": pl.Float64, "pairs": pl.Int64, "found": pl.Float64})),
    ],
)
def test_nothing_to_draw_is_still_a_figure(figure):
    assert figure().layout.title.text


def test_a_figure_grows_with_its_rows():
    many = pl.concat([FUNNEL] * 6)
    assert curation.funnel(many).layout.height > curation.funnel(FUNNEL).layout.height
