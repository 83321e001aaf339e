"""Every entry runs by its name: quick on a thin slice of real data; what serves is started, asked once and stopped."""

import dataclasses
import re
from pathlib import Path

import httpx
import nbformat
import polars as pl
import psutil
import pytest

from aifactory_lab import catalog, line, train
from aifactory_lab.catalog import pages, slices
from aifactory_lab.catalog.entry import Order
from aifactory_lab.datasets import entries
from aifactory_lab.errors import FactoryError
from aifactory_lab.workspace import file_hash
from tests.catalog.conftest import NOWHERE
from tests.datasets.site import Site

pytestmark = pytest.mark.timeout(600)


def addresses(*kinds: str) -> list[str]:
    return [entry.address for kind in kinds for entry in catalog.entries(kind, workspace=NOWHERE)]


REMOTE = {"taxi": "datasets/taxi", "azure-llm": "datasets/azure-llm", "azure-llm-code": "datasets/azure-llm-code"}


@pytest.mark.parametrize("address", [each for each in addresses("datasets", "twins") if each not in REMOTE.values()])
def test_what_is_looked_at_shows_a_table(quick, address):
    ran = quick(address)
    assert ran.frame.height > 0
    assert ran.words in str(ran)
    assert ran.service is None


@pytest.mark.parametrize("name", REMOTE)
def test_a_dataset_that_is_elsewhere_is_downloaded_and_described(quick, name, tmp_path, monkeypatch):
    known = entries.ENTRIES[name]
    ((table, file),) = known.files
    path = tmp_path / file.name
    rows = pl.DataFrame({"TIMESTAMP": ["2023-11-16 18:15:46"], "ContextTokens": [374]})
    rows.write_csv(path) if path.suffix == ".csv" else rows.write_parquet(path)
    monkeypatch.setenv("AIFACTORY_DATA", str(tmp_path / "cache"))
    with Site(path.read_bytes()) as site:
        near = dataclasses.replace(file, url=site.url(file.name), bytes=path.stat().st_size, sha256=file_hash(path))
        monkeypatch.setitem(entries.ENTRIES, name, dataclasses.replace(known, files=((table, near),)))
        assert "downloads" in catalog.find(f"datasets/{name}").state.words
        ran = quick(f"datasets/{name}")
    assert ran.frame["rows"].to_list() == [1, 1]
    assert "downloads" not in catalog.find(f"datasets/{name}").state.words


@pytest.mark.parametrize("address", addresses("recipes"))
def test_a_recipe_leaves_its_table_in_a_folder(quick, address, workspace):
    ran = quick(address)
    left = workspace / "catalog" / f"{address}-quick"
    assert list(left.glob("*.parquet"))
    assert str(left) in ran.words


@pytest.mark.parametrize("address", addresses("models"))
def test_a_model_is_trained_on_its_line_or_answers(quick, address):
    ran = quick(address)
    assert ran.value is not None
    if "smollm2" in address:
        assert "factory" in ran.words.partition("\n")[2].lower()
    else:
        assert ran.frame.height > 0


def test_champions_appear_once_they_are_registered(quick, workspace):
    quick("models/pocket-2")
    line.run(workspace, raw=slices.flights(Order(workspace, quick=True)), until="train", say=None)
    registry = train.Registry(workspace, "flights-late")
    found = catalog.find("flights-late", workspace=workspace)
    assert found.title.startswith(f"the champion, version {registry.champion_version()}: xgboost, AUC 0.")
    assert "version" in quick("models/flights-late").words
    assert quick("models/pocket-llama").frame["alias"].to_list().count("champion") == 1


def test_predictions_are_served_from_the_champion(quick, workspace):
    test_champions_appear_once_they_are_registered(quick, workspace)
    ran = quick("endpoints/predictions")
    told = httpx.get(f"{ran.service.url}/model").json()
    row = {feature["name"]: 0.0 for feature in told["features"]}
    answer = httpx.post(f"{ran.service.url}/predict", json=row)
    assert answer.is_success, answer.text
    ran.stop()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{ran.service.url}/model")


def test_completions_are_served_from_the_champion(quick):
    quick("models/pocket-2")
    ran = quick("endpoints/completions")
    body = {"prompt": "def add(", "max_tokens": 4}
    answer = httpx.post(f"{ran.service.base_url}/completions", json=body, timeout=120)
    assert answer.json()["usage"]["completion_tokens"] > 0


def test_metrics_are_served_to_this_machine_and_with_a_token_to_others(quick, monkeypatch):
    ran = quick("endpoints/metrics")
    assert "node_memory_MemTotal_bytes" in httpx.get(ran.service.url).text
    monkeypatch.delenv("AIFACTORY_TOKEN", raising=False)
    with pytest.raises(FactoryError, match="want a token"):
        quick("endpoints/metrics", host="0.0.0.0")


# A voila costs four CPU-seconds to start: these three are looked at by nobody else. The other boards are served by the
# same command in tests/widgets, where a browser looks at them.
@pytest.mark.parametrize(
    "address", [f"dashboards/{name}" for name in ("factory_floor", "mission_control", "throughput")]
)
def test_a_dashboard_is_served_and_leaves_no_process(quick, address):
    ran = quick(address)
    assert httpx.get(f"{ran.service.url}voila/static/favicon.ico").is_success
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    (process,) = [child for child in living if address.rpartition("/")[2] in " ".join(child.cmdline())]
    ran.stop()
    assert not process.is_running()


def test_a_dashboard_is_for_this_machine_only(quick):
    with pytest.raises(FactoryError, match="this machine only") as told:
        quick("dashboards/gpus", host="0.0.0.0")
    assert "aifactory dash gpus --host" in told.value.mend


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """A function that makes a lesson of one cell; the real ones are run, cell by cell, by the lessons' own tests."""
    monkeypatch.setattr(pages, "LESSONS", tmp_path)

    def write(code: str) -> None:
        cells = [nbformat.v4.new_markdown_cell("# 0 · A lesson"), nbformat.v4.new_code_cell(code)]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "00_short.ipynb")

    return write


def test_a_lesson_is_run_and_kept_with_its_outputs(quick, lesson, workspace):
    lesson("from aifactory_lab.workspace import default_root; print(default_root())")
    ran = quick("lessons/00_short")
    kept = nbformat.read(ran.value, as_version=4)
    assert kept.cells[1].outputs[0].text.strip() == str(workspace)


def test_a_lesson_that_stops_says_at_what(quick, lesson):
    lesson("1 / 0")
    with pytest.raises(FactoryError, match=r"00_short\.ipynb stopped at a cell: ZeroDivisionError"):
        quick("lessons/00_short")


def test_a_blueprint_is_taken_to_its_report(quick):
    ran = quick("blueprints/quick")
    path = Path(re.search(r"report: (\S+)", ran.words)[1])
    assert path.is_file()
    assert {"train", "serve", "pretrain", "serve_tokens"} <= set(ran.frame["station"])
