"""The GPU check where the RAPIDS wheels are not: it says what to install, and its table of rewrites is sound."""

from importlib.util import find_spec

import polars as pl
import pytest

from aifactory_lab.errors import MissingPackageError
from aifactory_lab.etl import translation as room


@pytest.mark.skipif(find_spec("cudf_polars") is not None, reason="the wheel is here; tests/gpu covers it")
@pytest.mark.parametrize("ask", [lambda: room.gpu_check(pl.LazyFrame({"a": [1]})), room.check_all])
def test_without_the_wheel_the_error_is_the_install_line(ask):
    with pytest.raises(MissingPackageError) as caught:
        ask()
    assert "cudf_polars is not installed" in caught.value.what
    assert caught.value.mend == "pip install 'aifactory-lab[gpu]'"


def test_each_message_leads_to_its_own_rewrite():
    for known in room.REWRITES:
        assert room.advise(f"… {known.message} …") == known.rewrite
    assert room.advise("something that nobody has seen yet") == ""


def test_expressions_are_named_once():
    names = [known.expression for known in room.REWRITES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([], "translates to cuDF"),
        ([f"step 'x': {room.ONE_GPU}: this selection"], "collapses to one GPU"),
        ([f"{room.ONE_GPU}: a", "ewm_mean (…)"], "does not translate"),
    ],
)
def test_the_verdict_follows_from_what_was_found(found, verdict):
    assert room._verdict(found) == verdict
