"""The board in real JupyterLab: it appears, ticks, pauses while a cell computes, and marks a dead kernel."""

import re
import time

import pytest

from tests.widgets.servers import browser, jupyter_lab, notebook

pytestmark = pytest.mark.browser
BOARD = ".af-board"
CELLS = (
    "from aifactory_lab import widgets\nboard = widgets.GpuBoard(host=False)\nboard",
    "import time\nprint('computing')\ntime.sleep(12)",
    "board.snapshot()",
)


@pytest.fixture
def lab(tmp_path, make_driver, chromium):
    """A page of JupyterLab on a machine whose driver has eight GPUs."""
    driver = make_driver(8)
    driver.all["busy"] = 50
    notebook(tmp_path / "board.ipynb", *CELLS)
    environment = {**driver.environment(), "XDG_RUNTIME_DIR": str(tmp_path)}
    address, running = jupyter_lab(tmp_path, environment)
    with running, browser(chromium, viewport={"width": 1400, "height": 1000}) as page:
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{address}/lab/tree/board.ipynb")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.wait_for_selector("[data-status=idle], .jp-Notebook-ExecutionIndicator[data-status=idle]", state="attached")
        yield driver, page
        assert [text for text in problems if "aifactory" in text or "af-" in text] == []


def run_cell(page, index: int) -> None:
    page.locator(".jp-Notebook .jp-CodeCell").nth(index).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Shift+Enter")


def painted(page) -> int:
    return int(page.locator(BOARD).first.get_attribute("data-painted") or 0)


def test_a_board_lives_its_life(lab, tmp_path):
    driver, page = lab
    run_cell(page, 0)
    page.wait_for_selector(BOARD)
    page.wait_for_function("document.querySelector('.af-board')?.innerText.includes('50 %')")

    # it ticks while a cell computes, and pause is the page's own business
    run_cell(page, 1)
    page.wait_for_selector("text=computing")
    before = painted(page)
    driver.all["busy"] = 90
    page.wait_for_function("document.querySelector('.af-board').innerText.includes('90 %')", timeout=9_000)
    assert painted(page) > before
    page.get_by_role("button", name="Pause").click()
    page.wait_for_selector("text=Paused: data go on being kept", timeout=3_000)
    driver.all["busy"] = 20
    time.sleep(2.5)
    assert "90 %" in page.locator(BOARD).inner_text(), "a paused picture stands still"
    page.get_by_role("button", name="Resume").click()
    page.wait_for_function("document.querySelector('.af-board').innerText.includes('20 %')", timeout=5_000)

    # a page that is loaded again has the minutes before
    page.keyboard.press("Control+s")
    page.wait_for_timeout(1_000)
    page.reload()
    page.wait_for_selector(BOARD)
    page.wait_for_function("document.querySelector('.af-board').innerText.includes('20 %')")

    # a kernel that was restarted leaves a picture that says so
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name=re.compile(r"^Restart Kernel…")).click()
    page.get_by_role("button", name=re.compile("Confirm|Restart")).click()
    page.wait_for_selector(".af-banner.af-bad, .af-banner.af-warn")
    banner = page.locator(".af-banner.af-bad, .af-banner.af-warn").first.inner_text()
    assert re.search(r"kernel|No data for", banner)
    page.screenshot(path=str(tmp_path / "lab.png"))
