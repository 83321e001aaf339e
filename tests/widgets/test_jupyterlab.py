"""The board in real JupyterLab: it appears, ticks, pauses while a cell computes, and marks a dead kernel."""

import re
import time

import pytest

from tests.widgets.servers import browser, jupyter_lab, notebook, says

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
        yield driver, page
        assert [text for text in problems if "aifactory" in text or "af-" in text] == []


def run_cell(page, index: int) -> None:
    """Run a cell; JupyterLab takes no note of the keys while its kernel is still starting, so look and try again."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(index)
    prompt = cell.locator(".jp-InputArea-prompt")
    for _ in range(20):
        cell.locator(".jp-InputArea-editor").click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(1_000)
        if re.search(r"[*\d]", prompt.inner_text()):
            return
    msg = f"cell {index} does not run: {prompt.inner_text()}"
    raise AssertionError(msg)


def painted(page) -> int:
    return int(page.locator(BOARD).first.get_attribute("data-painted") or 0)


def test_a_board_lives_its_life(lab, tmp_path):
    driver, page = lab
    run_cell(page, 0)
    page.wait_for_selector(BOARD)
    says(page, r"\b50\s*%")

    # it ticks while a cell computes, and pause is the page's own business
    run_cell(page, 1)
    page.wait_for_selector("text=computing")
    before = painted(page)
    driver.all["busy"] = 90
    says(page, r"\b90\s*%", seconds=9)
    assert painted(page) > before
    page.get_by_role("button", name="Pause").click()
    page.wait_for_selector("text=Paused: data go on being kept", timeout=3_000)
    driver.all["busy"] = 20
    time.sleep(2.5)
    assert re.search(r"\b90\s*%", page.locator(BOARD).inner_text()), "a paused picture stands still"
    page.get_by_role("button", name="Resume").click()
    says(page, r"\b20\s*%")

    # a page that is loaded again has the minutes before
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", state="attached")
    page.keyboard.press("Control+s")
    page.wait_for_timeout(1_000)
    page.reload()
    page.wait_for_selector(BOARD)
    says(page, r"\b20\s*%")

    # a kernel that was restarted leaves a picture that says so
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name=re.compile(r"^Restart Kernel…")).click()
    page.locator(".jp-Dialog-button.jp-mod-accept").click()
    page.wait_for_selector(".af-banner.af-bad, .af-banner.af-warn")
    banner = page.locator(".af-banner.af-bad, .af-banner.af-warn").first.inner_text()
    assert re.search(r"kernel|No data for", banner)
    page.screenshot(path=str(tmp_path / "lab.png"))
