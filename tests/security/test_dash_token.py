"""A board on all addresses, in real voila and real Chromium: without the token a page to log in, with it the board."""

import json
import socket

import httpx
import pytest
from playwright.sync_api import sync_playwright

from aifactory_lab import dash
from tests.security.conftest import family, told
from tests.widgets.servers import ARGUMENTS, free_port, server

pytestmark = pytest.mark.browser
KERNEL = "/api/kernels/0f0f0f0f-0000-0000-0000-000000000000"
SHUT = [
    ("GET", "/"),
    ("GET", KERNEL),
    ("DELETE", KERNEL),
    ("GET", f"{KERNEL}/channels"),
    ("POST", f"/voila/api/shutdown{KERNEL}"),
]


@pytest.fixture
def page(tmp_path, secret):
    """Serve a board on all addresses, as `dash.serve` does; the address, its process, its log."""
    port, log = free_port(), tmp_path / "voila.log"
    command = dash.command("gpus", port=port, host="0.0.0.0", browser=False, guarded=True)
    places = {"XDG_RUNTIME_DIR": str(tmp_path), "AIFACTORY_WORKSPACE": str(tmp_path / "ws")}
    environment = {**places, dash.JUPYTER_VARIABLE: secret}
    url = f"http://127.0.0.1:{port}"
    with server(command, f"{url}/voila/static/favicon.ico", environment, log) as process:
        yield url, process, log


def upgraded(url: str, path: str, origin: str) -> str:
    """Ask for a websocket; return the status line."""
    host, port = url.removeprefix("http://").split(":")
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Origin: {origin}", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "", ""]
    with socket.create_connection((host, int(port)), timeout=60) as asking:
        asking.sendall("\r\n".join(lines).encode())
        return asking.recv(1_000).decode().splitlines()[0]


def test_only_who_has_the_token_sees_the_board_and_reaches_its_kernel(page, secret, chromium):
    url, process, log = page
    for method, path in SHUT:
        answer = httpx.request(method, url + path)
        assert answer.status_code in (302, 403), (method, path)
        assert "af-board" not in answer.text
    assert " 403 " in upgraded(url, f"{KERNEL}/channels", url)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        stranger = browser.new_page()
        stranger.goto(url, timeout=120_000)
        assert "/login" in stranger.url
        assert stranger.locator(".af-board").count() == 0
        owner = browser.new_context()
        tab = owner.new_page()
        kernels = []
        tab.on("websocket", lambda line: kernels.append(line.url))
        tab.goto(f"{url}/?token={secret}", timeout=120_000)
        tab.wait_for_selector(".af-board", timeout=120_000)
        assert len(kernels) == 1
        # the very kernel that runs now, asked for by a page that is not logged in and by one of another site
        path = kernels[0].partition(url.removeprefix("http://"))[2].partition("?")[0]
        assert " 403 " in upgraded(url, path, url)
        assert httpx.get(url + path.removesuffix("/channels")).status_code == 403
        assert httpx.delete(url + path.removesuffix("/channels")).status_code == 403
        shown = json.dumps(owner.cookies())
        assert secret not in shown, "the cookie is a signed one, not the token"
        assert secret not in told([process, *family(process.pid)])
        browser.close()
    assert secret not in log.read_text()


def test_on_this_machine_a_rebound_name_is_not_heard(tmp_path):
    """Voila lets any Host header in; a page that rebinds its name would have a kernel of the user's."""
    port = free_port()
    environment = {"XDG_RUNTIME_DIR": str(tmp_path), "AIFACTORY_WORKSPACE": str(tmp_path / "ws")}
    url = f"http://127.0.0.1:{port}"
    command = dash.command("gpus", port=port, browser=False)
    with server(command, f"{url}/voila/static/favicon.ico", environment, tmp_path / "voila.log"):
        for path in ("/", KERNEL, f"{KERNEL}/channels"):
            assert httpx.get(url + path, headers={"host": "rebound.example"}).status_code == 403, path
        assert httpx.get(url + KERNEL).status_code == 404, "under its own name there is merely no such kernel"
