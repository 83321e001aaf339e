"""`aifactory catalog` from a terminal: lists that fit 80 columns, JSON for programs, services until Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys

import httpx
import pytest
from typer.testing import CliRunner

from aifactory_lab import catalog
from aifactory_lab.cli import app


def said(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["catalog", *words])
    assert done.exit_code == code, done.output
    return done.output


def test_the_list_has_every_entry_and_fits_80_columns(tmp_path):
    printed = said("--workspace", str(tmp_path))
    entries = catalog.entries(workspace=tmp_path)
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= 80
    for entry in entries:
        assert re.search(rf"{'✓' if entry.ready else '–'}  {re.escape(entry.name)}\s", printed), entry.address
    assert f"{len(entries)} entries; 2 marked – lack something" in printed
    assert "aifactory run --line" in printed


@pytest.mark.parametrize("kind", catalog.KINDS)
def test_each_kind_is_listed_by_its_name_and_as_json(kind, tmp_path):
    told = json.loads(said(kind, "--json", "--workspace", str(tmp_path)))
    assert told == [entry.to_dict() for entry in catalog.entries(kind, workspace=tmp_path)]
    assert told[0]["name"] in said(kind, "--query", told[0]["name"], "--workspace", str(tmp_path))


def test_a_card_and_a_run_as_text_and_as_json(tmp_path):
    assert "aifactory twin design --chassis dgx-h100" in said("show", "dgx-h100")
    assert json.loads(said("show", "dgx-h100", "--json"))["kind"] == "twins"
    assert "price of a million tokens" in said("run", "dgx-h100")
    told = json.loads(said("run", "dgx-h100", "--json"))
    assert told["rows"][0]["figure"] == "tokens per second"
    assert json.loads(said("systems", "--json")) == catalog.systems().to_dicts()


def test_a_mistake_is_one_message_and_exit_code_2(tmp_path):
    assert "'xgbost'" in said("show", "xgbost", code=2)
    assert "cannot run here" in said("run", "predictions", "--workspace", str(tmp_path), code=2)
    (tmp_path / "mlflow.db").write_text("not a database, but as long as one's head")
    assert "cannot be read as MLflow's" in said("models", "--workspace", str(tmp_path), code=2)


@pytest.mark.parametrize("token", ["", "0123456789abcdef-of-a-colleague"])
def test_what_serves_answers_until_it_is_interrupted(token):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    environment = {**os.environ, **({"AIFACTORY_TOKEN": token} if token else {})}
    command = [sys.executable, "-m", "aifactory_lab.cli", "catalog", "run", "endpoints/metrics"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            url = re.search(r"http\S+", process.stdout.readline())[0]
            assert httpx.get(url, headers=headers).is_success
            assert httpx.get(url).is_success is not bool(token)
            process.stdout.readline()  # how to stop it: now it waits
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == 0
        finally:
            process.kill()
