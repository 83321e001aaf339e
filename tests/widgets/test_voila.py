"""The boards as pages of real voila: history at once, no kernel left behind, one sampler for all viewers."""

import sys

import pytest
from playwright.sync_api import sync_playwright

from aifactory_lab import dash
from tests.telemetry.scripted import wait_for
from tests.widgets.servers import ARGUMENTS, free_port, kernels, says, server

pytestmark = pytest.mark.browser
FIFTY = r"\b50\s*%"


@pytest.fixture
def voila(tmp_path, make_driver):
    """A function that serves a board on a machine whose driver has eight GPUs."""
    driver = make_driver(8)
    driver.all["busy"] = 50
    environment = {
        **driver.environment(),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "AIFACTORY_WORKSPACE": str(tmp_path / "ws"),
    }

    def start(board: str):
        port = free_port()
        command = dash.command(board, port=port, browser=False)
        assert command[0] == sys.executable
        url = f"http://127.0.0.1:{port}/"
        return url, server(command, f"{url}voila/static/favicon.ico", environment, tmp_path / "voila.log")

    return driver, start


@pytest.fixture
def tabs(chromium):
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started.new_context(viewport={"width": 1400, "height": 1000})
        started.close()


def shown(tab, url: str) -> None:
    tab.goto(url, timeout=120_000)
    tab.wait_for_selector(".af-board", timeout=120_000)
    says(tab, FIFTY)


def test_kernels_end_with_their_tabs_and_a_late_viewer_has_history(voila, tabs):
    driver, start = voila
    url, running = start("gpus")
    with running as process:
        first = tabs.new_page()
        shown(first, url)
        assert kernels(process) == 1
        first.wait_for_timeout(6_000)

        # a second viewer shares the sampler of the first: the driver is asked once a second, not twice
        second = tabs.new_page()
        shown(second, url)
        assert kernels(process) == 2
        driver.forget_calls()
        second.wait_for_timeout(6_000)
        assert driver.calls("utilisation") <= 8 * 8, "eight GPUs, six or seven seconds, one reader"
        ages = second.evaluate("document.querySelector('.af-board').dataset.samples")
        assert ages is None or int(ages) >= 6, "the minutes before its kernel began"

        # closing and reloading leave nothing behind
        second.close(run_before_unload=True)
        wait_for(lambda: kernels(process) == 1, seconds=40)
        first.reload(timeout=120_000)
        first.wait_for_selector(".af-board", timeout=120_000)
        wait_for(lambda: kernels(process) == 1, seconds=40)
        says(first, FIFTY)
        first.close(run_before_unload=True)
        wait_for(lambda: kernels(process) == 0, seconds=40)


def test_a_dead_kernel_is_marked(voila, tabs):
    _, start = voila
    url, running = start("gpus")
    with running as process:
        tab = tabs.new_page()
        shown(tab, url)
        for child in process.children(recursive=True):
            if any("ipykernel" in word for word in child.cmdline()):
                child.kill()
        tab.wait_for_selector(".af-banner.af-bad, .af-banner.af-warn", timeout=30_000)
