"""The report of a design: every figure with its range, nothing hidden, readable in a real browser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import sync_playwright

from aifactory_lab import twin_report
from aifactory_lab.twin import alternatives, climate, cooling, cost, validation
from aifactory_lab.twin.design import Service, evaluate
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin_report import kpis, number, span


def designed(**service):
    asked = {"model": "llama-3-405b", "isl": 2048, "osl": 512, "requests_per_second": 20, "ttft_ms": 2000}
    plant = Plant(gpus=72, chassis="gb200-nvl72", gpu_cap_watts=900)
    return evaluate(plant, Service(**asked | {"tpot_ms": 50} | service), climate=climate.new_york("2013-07-15"))


@pytest.fixture(scope="module")
def outcome():
    return designed()


@pytest.fixture(scope="module")
def page(outcome):
    few = {"chassis": ["dgx-h100", "gb200-nvl72"], "tp": [4, 8], "concurrency": [1, 16], "water_celsius": [40]}
    return twin_report.page(outcome, front=alternatives.front(outcome, **few))


def test_every_figure_of_the_design_stands_in_it_with_what_it_rests_on(page, outcome):
    (table,) = next(one for one in page.sections if one.title == "Every figure").tables
    assert [row[0] for row in table.rows] == outcome.table()["figure"].to_list()
    assert all(row[-1] for row in table.rows)


def test_every_assumption_stands_in_it(page):
    tables = next(one for one in page.sections if one.title == "What is assumed").tables
    told = {row[0] for table in tables for row in table.rows}
    assert set(cost.assumptions()["assumption"]) | set(cooling.assumptions()) <= told


def test_every_check_of_the_card_stands_in_it(page):
    section = next(one for one in page.sections if one.title == "How far to believe it")
    assert "not validated" in " ".join(section.words)
    assert set(validation.names()) <= set(section.figures[0].layout.yaxis.categoryarray)


def test_cooling_is_never_shown_as_if_it_were_validated(page):
    assert [tile.label for tile in page.tiles if "not validated" in tile.label] == ["PUE · not validated"]


def test_an_overload_is_said_and_not_drawn_as_a_latency():
    found = {one.label: one for one in kpis(designed(requests_per_second=5000))}
    assert found["ms TTFT"].value == "no end"
    words = twin_report.page(designed(requests_per_second=5000)).sections[0].words
    assert any("overloaded" in word for word in words)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_number_is_short_and_right_in_three_figures(value):
    said = number(value)
    assert len(said) <= 10
    factor = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}.get(said[-1], 1.0)
    assert float(said.rstrip(" kMGTP").replace(",", "")) * factor == pytest.approx(value, rel=5.1e-3, abs=1e-300)


def test_a_range_is_told_only_where_both_ends_are_known():
    assert (span(1, 2), span(None, 2), span(1, None)) == ("1 – 2", "", "")


@pytest.mark.browser
def test_a_browser_draws_it_without_any_network(page, tmp_path, chromium):
    path = page.write(tmp_path / "design.html")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-quic"])
        tab = browser.new_page(color_scheme="dark", viewport={"width": 390, "height": 900})
        problems: list[str] = []
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("request", lambda r: problems.append(r.url) if r.url.startswith("http") else None)
        tab.goto(path.as_uri())
        tab.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 5", timeout=90_000)
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert problems == []
        browser.close()
