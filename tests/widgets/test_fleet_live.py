"""The board of a fleet as a page of real voila, following real jobs of a real engine that another process sends."""

import time

import pytest

from aifactory_lab import dash
from aifactory_lab.fleet import Fleet
from tests.widgets.servers import browser, free_port, says, server

pytestmark = pytest.mark.browser


def at_work(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_a_page_of_its_own_follows_the_jobs_that_another_process_sends(tmp_path, monkeypatch, chromium):
    for name in ("SLURM_CONF", "AIFACTORY_SLURM_CONF"):  # another test's
        monkeypatch.delenv(name, raising=False)
    environment = {"XDG_RUNTIME_DIR": str(tmp_path), "AIFACTORY_FLEET": str(tmp_path / "fleet")}
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    command = dash.command("fleet", port=port, browser=False)
    running = server(command, f"{url}voila/static/favicon.ico", environment, tmp_path / "log")
    with running, browser(chromium, viewport={"width": 1000, "height": 1000}) as page:
        page.goto(url, timeout=120_000)
        page.wait_for_selector(".af-board", timeout=120_000)
        says(page, "No fleet on this machine yet")
        fleet = Fleet("workstation", folder=tmp_path / "fleet", gpus=2)
        sent = []
        try:
            sent += [fleet.submit(at_work, 300, gpus=2, project="vision", name="pretrain")]
            sent += [fleet.submit(at_work, 300, gpus=1, project="nlp", name="evaluate")]
            says(page, r"workstation\s+pretend GPUs[\s\S]*Limits: quota, fair share and preemption need Slurm")
            says(page, r"GPUs in use\s+2\s+of 2 on 1 node")
            says(page, r"1 waiting[\s\S]*evaluate[\s\S]*0 of 2 are free")
            assert page.locator(".af-cell.af-taken").count() == 2
            assert page.locator(".af-run").count() == 1, "two neighbours are one block"
            sent[0].cancel()
            says(page, r"0 waiting\s+1 running\s+1 ended")
            assert "1 of 2" in page.locator(".af-node").inner_text()
        finally:
            for job in sent:
                job.cancel()
            fleet.engine.stop()
