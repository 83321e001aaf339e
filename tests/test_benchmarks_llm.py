"""The benchmark of serving language models works: its parts measure what they say; what they found is not asserted."""

import pytest

from tests.benchmarks import bench_llm_serving as bench
from tests.benchmarks.__main__ import ORDER
from tests.benchmarks.llm import environment

TINY = {"vocabulary": 400, "layers": 1, "width": 64, "heads": 2, "kv_heads": 2, "hidden": 192, "context": 256}


@pytest.fixture(autouse=True)
def no_peers(monkeypatch):
    """A test installs nothing: the peers are not there."""
    monkeypatch.setattr(environment, "versions", dict)


def test_make_bench_knows_it():
    assert "llm_serving" in ORDER


def test_engines_are_asked_the_same_and_counted_by_their_usage(monkeypatch, tmp_path):
    for name, value in {"SHAPE": TINY, "FILES": 4, "PROMPTS": 60, "CONCURRENCIES": (1, 2)}.items():
        monkeypatch.setattr(bench, name, value)
    folder, asked = bench.prepare(tmp_path)
    table = bench.engines(folder, asked, quick=True)
    assert [(row["engine"].split()[0], row["at once"]) for row in table.rows] == [
        ("aifactory_lab.serve.llm", 1),
        ("aifactory_lab.serve.llm", 2),
        ("llama.cpp's", 1),
        ("llama.cpp's", 2),
    ]
    assert all(row["tokens per server CPU-s"] > 0 and row["short answers"] == 0 for row in table.rows)
    assert any("peers not installed" in note for note in table.notes)
    for compared in (bench.generators, bench.clocks):
        assert compared(folder, asked, tmp_path, quick=True).rows == [{"load generator": "AIPerf: not installed"}]
