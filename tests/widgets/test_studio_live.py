"""The design studio as a page of real voila: drawn without any network, answered by its kernel, files saved."""

import re

import pytest

from aifactory_lab import dash
from tests.widgets.servers import browser, free_port, server

pytestmark = pytest.mark.browser
OUTSIDE = re.compile(r"https?://(?!127\.0\.0\.1)(?!.*fontawesome)")  # the letters of icons are voila's own wish
ANSWERED = "before => document.querySelector('.af-kpis').innerText !== before"
DRAWN = "count => document.querySelectorAll('.af-plot .main-svg').length >= count"


def test_a_page_of_its_own_is_drawn_answers_moves_and_saves_files(tmp_path, chromium):
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    strangers, faults, sent = [], [], []
    running = server(
        dash.command("design_studio", port=port, browser=False),
        f"{url}voila/static/favicon.ico",
        {"XDG_RUNTIME_DIR": str(tmp_path)},
        tmp_path / "log",
    )
    with running, browser(chromium, viewport={"width": 1400, "height": 1000}, accept_downloads=True) as page:
        page.on("request", lambda r: strangers.append(r.url) if OUTSIDE.match(r.url) else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(b'"ping"' in _raw(frame))))
        page.goto(url, timeout=120_000)
        page.wait_for_function(DRAWN, arg=3, timeout=120_000)
        before = page.inner_text(".af-kpis")
        page.locator(".noUi-handle").nth(1).focus()
        page.keyboard.press("ArrowLeft")
        page.wait_for_function(ANSWERED, arg=before, timeout=60_000)
        with page.expect_download(timeout=60_000) as saved:
            page.click("text=Figures (CSV)")
        assert saved.value.path().read_text().startswith("figure,value,low,high,unit")
        page.locator("select").filter(has_text="deepseek-v3").select_option("deepseek-v3")
        page.locator("select").filter(has_text="dgx-h100").select_option("dgx-h100")
        page.wait_for_selector("[role=alert] code", timeout=60_000)
        assert "deepseek-v3 in fp8 takes" in page.inner_text("[role=alert]")
        until(lambda: any(sent), 60, page)  # a page that is only looked at keeps its kernel
    assert (strangers, faults) == ([], [])


def _raw(frame: str | bytes) -> bytes:
    return frame if isinstance(frame, bytes) else frame.encode()


def until(true, seconds: float, page) -> None:
    for _ in range(int(2 * seconds)):
        if true():
            return
        page.wait_for_timeout(500)
    msg = "waited in vain"
    raise AssertionError(msg)
