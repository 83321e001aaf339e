"""The run's page: whole, offline, safe, and readable in a real browser in both themes and two widths."""

import json
import re
from dataclasses import replace

import plotly.graph_objects as go
import pytest
from playwright.sync_api import sync_playwright

from aifactory_lab.figures import theme
from aifactory_lab.report import Group, Page, Section, TextTable, Tile


@pytest.fixture
def page() -> Page:
    figure = theme.layout(go.Figure(go.Bar(x=[1, 2], y=["a", "b"], orientation="h")), "A </script> title")
    table = TextTable(["station", "made", "why"], [["etl", "1,000", "because <b>"]], words=["why"])
    sections = [Section("Stations", ["what & why"], [table], [figure, figure], verbatim=["def f():\n    <pass>"])]
    return Page("A run", "on <this> machine", [Tile("1,000", "rows")], sections, "the end")


def test_page_needs_no_network(page):
    html = page.html()
    body = html.split("</script>")[-1]
    assert "http://" not in body
    assert "https://" not in body
    assert "Plotly.newPlot" in html


def test_figures_stand_side_by_side_unless_they_are_wide(page):
    assert '<div class="pair">' in page.html()
    wide = replace(page, sections=[replace(section, wide=True) for section in page.sections])
    assert '<div class="pair">' not in wide.html()


def test_texts_are_escaped(page):
    html = page.html()
    assert "on &lt;this&gt; machine" in html
    assert "because &lt;b&gt;" in html
    assert "def f():\n    &lt;pass&gt;</pre>" in html
    assert "A </script> title" not in html


def test_write_replaces_in_one_step(page, tmp_path):
    path = page.write(tmp_path / "report.html")
    assert path.read_text() == page.html()
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_browser_draws_it(page, tmp_path, chromium, scheme, width):
    path = page.write(tmp_path / "report.html")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-quic"])
        tab = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
        problems: list[str] = []
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("request", lambda r: problems.append(r.url) if r.url.startswith("http") else None)
        tab.goto(path.as_uri())
        tab.wait_for_selector(".js-plotly-plot .barlayer")
        assert tab.locator(".js-plotly-plot").count() == 2
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(17, 19, 21)") == (scheme == "dark")
        assert problems == []
        assert tab.locator("[role=img]").first.get_attribute("aria-label") == "A title"
        assert tab.get_by_role("heading", level=2).all_inner_texts() == ["Stations"]
        browser.close()


PAGES = re.compile(rb"/Type\s*/Page\b")


@pytest.mark.browser
def test_paper_holds_the_whole_figure_and_the_screen_is_as_before(page, tmp_path, chromium):
    path = page.write(tmp_path / "report.html")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-quic"])
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-drawn]")
        widths = "[...document.querySelectorAll('.drawn .main-svg:first-child')].map((each) => each.clientWidth)"
        before = tab.evaluate(widths)
        tab.evaluate("addEventListener('beforeprint', () => { window.printed = " + widths + " })")
        made = tab.pdf(format="A4", prefer_css_page_size=True)
        assert tab.evaluate("printed") == [676, 676]
        tab.wait_for_function(f"JSON.stringify({widths}) === '{json.dumps(before).replace(' ', '')}'")
        browser.close()
    assert len(PAGES.findall(made)) == 2, "two figures of 340 pixels, a table and tiles"


def test_a_report_with_plotly_in_it_fits_a_mail(page):
    assert len(page.html().encode()) < 2_500_000


def test_groups_say_what_came_out_beside_its_limit():
    tiles = [Tile("2 of 2", "objectives met", "p99 16 ms", "good"), Tile("0.7", "AUC")]
    html = Page("A run", "here", groups=[Group("Decisions", "It answers.", tiles)], note="Prices are assumed.").html()
    assert '<li class="tile good"><b>2 of 2</b>' in html
    assert "p99 16 ms" in html
    assert "Prices are assumed." in html
    assert "plotly" not in html.split("</style>")[1], "nothing is drawn, so nothing that draws travels"
