"""The disagreement with AIConfigurator: measured beside ours beside theirs, and how to get it where it is not.

What passes between is proved with a package of the peer's name, at the edge of another environment; the peer itself (an
environment of 850 MB) is asked in `make bench`.
"""

import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from aifactory_lab.datasets import places
from aifactory_lab.errors import TwinError
from aifactory_lab.twin import calibration, peer_estimates, peers, validation
from tests.datasets.test_cards import stores

STORES = [store for store in stores() if next(store.rglob(calibration.FILE), None)]
PACKAGE = """
class Found:
    def __init__(self, **asked):
        if asked["batch_size"] == 64:
            raise ValueError("no kernel was measured for 64 of " + asked["model_path"])
        self.tpot, self.ttft = asked["batch_size"] / asked["tp_size"], asked["isl"]
def cli_estimate(model_path, system_name, *, backend_name, isl, osl, batch_size, tp_size, gemm_quant_mode):
    return Found(**locals())
"""


@pytest.fixture(params=STORES, ids=str)
def measured(request, monkeypatch):
    monkeypatch.setenv(places.VARIABLE, str(request.param))
    monkeypatch.delenv(peers.VARIABLE, raising=False)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """An interpreter that finds a package of the peer's name."""
    package = tmp_path / "aiconfigurator" / "cli"
    package.mkdir(parents=True)
    (package / "api.py").write_text(PACKAGE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return sys.executable


def test_without_the_peer_ours_stand_beside_the_measured_and_a_note_says_how_to_get_it(measured):
    found = validation.peers(each=1)
    assert set(found["system"]) == {"h100_sxm", "h200_sxm", "b200_sxm"}
    assert len(found) == found.n_unique(["system", "backend", "precision"])
    assert found["theirs_tpot"].null_count() == len(found)
    assert found["note"].str.contains("pip install aiconfigurator").all()
    assert np.allclose(found["ours_error"], found["ours_tpot"] / found["measured_tpot"] - 1)
    assert found["ours_error"].abs().max() < 0.5


def test_what_is_asked_is_what_was_measured_and_answers_stay_in_their_rows(measured, stand_in):
    found = peers.compare(each=4, python=stand_in)
    answered = found.filter(pl.col("batch_size") != 64)
    assert np.allclose(answered["theirs_tpot"], answered["batch_size"] / answered["tp_size"])
    assert answered["theirs_ttft"].to_list() == answered["isl"].to_list()
    assert np.allclose(answered["theirs_error"], answered["theirs_tpot"] / answered["measured_tpot"] - 1)
    refused = found.filter(pl.col("batch_size") == 64)
    assert len(refused) > 0
    assert refused["theirs_error"].null_count() == len(refused)
    assert refused["note"].str.contains("no kernel was measured for 64 of meta-llama/Meta-Llama-3.1-70B").all()


def test_the_rows_are_spread_over_sizes_and_loads(measured):
    found = peers.compare(each=6)
    for _, group in found.group_by("system", "backend", "precision"):
        assert group["tp_size"].n_unique() >= 2
        assert group["batch_size"].n_unique() >= 3
        assert group["isl"].n_unique() == 2


def test_an_interpreter_without_it_is_said(measured, tmp_path):
    with pytest.raises(TwinError, match=r"did not answer.*No module named 'aiconfigurator'") as refused:
        peers.compare(each=1, python=sys.executable)
    assert "pip install aiconfigurator" in refused.value.mend
    with pytest.raises(TwinError, match="nobody/python"):
        peers.compare(each=1, python=tmp_path / "nobody" / "python")
    with pytest.raises(TwinError, match="gpt-5"):
        peers.compare(models=["gpt-5"])


def test_an_answer_has_its_seconds_or_its_error():
    told = peer_estimates.answer({"ttft": 100, "tpot": 10}, SimpleNamespace)
    assert (told["ttft"], told["tpot"]) == (100.0, 10.0)
    assert told["seconds"] >= 0
    assert "no attribute 'tpot'" in peer_estimates.answer({"ttft": 100}, SimpleNamespace)["error"]
