"""Real JupyterLab and real voila for tests: started on a free loopback port, ended with all their kernels."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import nbformat
import psutil
from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as TookTooLong

ARGUMENTS = ["--no-sandbox", "--disable-quic", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def notebook(path: Path, *cells: str) -> Path:
    """Write a notebook of code cells."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    nbformat.write(made, path)
    return path


@contextmanager
def server(command: list[str], url: str, environment: Mapping[str, str], log: Path) -> Iterator[psutil.Process]:
    """Run a server until the block ends; kill whatever it left."""
    with log.open("w") as stream:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=stream, stderr=subprocess.STDOUT)
    handle = psutil.Process(process.pid)
    try:
        _wait_until_it_answers(url, process, log)
        yield handle
    finally:
        family = [*handle.children(recursive=True), handle] if handle.is_running() else []
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in family:
            if child.is_running() and child.pid != process.pid:
                child.kill()


def jupyter_lab(folder: Path, environment: Mapping[str, str]):
    port = free_port()
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}"),
        *("--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password="),
        *(f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None", "--ServerApp.allow_remote_access=False"),
    ]
    home = {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_DATA_DIR": str(folder / "data")}
    address = f"http://127.0.0.1:{port}"
    return address, server(command, f"{address}/api/status", {**home, **environment}, folder / "lab.log")


def kernels(process: psutil.Process) -> int:
    """How many kernels a server has."""
    count = 0
    for child in process.children(recursive=True):
        try:
            count += any("ipykernel" in word for word in child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
    return count


@contextmanager
def browser(chromium: str, **options) -> Iterator[Page]:
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = started.new_page(**options)
        page.set_default_timeout(90_000)
        yield page
        started.close()


def _wait_until_it_answers(url: str, process: subprocess.Popen, log: Path, seconds: float = 90.0) -> None:
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        assert process.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
        try:
            if httpx.get(url, timeout=30.0).status_code < 500:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    msg = f"{url} does not answer: {log.read_text()[-2000:]}"
    raise AssertionError(msg)


# what tells a board that was never painted from one that heard nothing
STATE = """[...document.querySelectorAll('.af-board')].map((board) => {
  const { top, bottom, width } = board.getBoundingClientRect();
  return { ...board.dataset, top, bottom, width, ink: getComputedStyle(board).getPropertyValue('--af-ink') };
})"""


def says(page: Page, pattern: str, *, seconds: float = 60.0) -> None:
    """Wait until the board on a page says something (a regular expression)."""
    found = "pattern => new RegExp(pattern).test(document.querySelector('.af-board')?.innerText ?? '')"
    try:
        page.wait_for_function(found, arg=pattern, timeout=1e3 * seconds)
    except TookTooLong:
        page.screenshot(path=str(Path(tempfile.gettempdir()) / "board-that-did-not-say.png"))
        board = page.locator(".af-board")
        words = board.first.inner_text() if board.count() else "there is no board"
        state = page.evaluate(STATE)
        msg = f"the board does not say {pattern!r} within {seconds:g} s, but:\n{words}\n{state}"
        raise AssertionError(msg) from None
