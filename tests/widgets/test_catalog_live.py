"""The catalogue as a page of real voila: found by the keyboard, run by its kernel, copied by the page."""

import pytest

from aifactory_lab import dash
from tests.widgets.servers import browser, free_port, server

pytestmark = pytest.mark.browser


def test_a_page_is_searched_read_and_run_by_the_keyboard(tmp_path, chromium):
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    faults: list[str] = []
    running = server(
        dash.command("catalog", port=port, browser=False),
        f"{url}voila/static/favicon.ico",
        {"XDG_RUNTIME_DIR": str(tmp_path), "AIFACTORY_WORKSPACE": str(tmp_path / "ws")},
        tmp_path / "log",
    )
    with running, browser(chromium, viewport={"width": 700, "height": 900}) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url.rstrip("/"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(url, timeout=240_000)
        page.get_by_label("search").wait_for(timeout=240_000)
        page.get_by_label("search").fill("nvl72")
        page.wait_for_selector("text=2 of", timeout=120_000)
        page.get_by_label("name").focus()
        page.keyboard.press("ArrowDown")
        page.wait_for_selector("code:text('--chassis gb300-nvl72')", timeout=120_000)
        page.get_by_label("Copy the line for the shell").press("Enter")
        page.wait_for_selector("[role=status]:text('copied')", timeout=120_000)
        assert page.evaluate("navigator.clipboard.readText()") == "aifactory twin design --chassis gb300-nvl72"
        page.get_by_role("button", name="Run").press("Enter")
        page.wait_for_selector("text=1,008 GPUs serve llama-3-70b", timeout=120_000)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, "a narrow page is not scrolled sideways"
    assert faults == []
