"""The hall from above: to scale, every rack once, what is not known and what is wrong as themselves."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.figures import hall as figures
from aifactory_lab.figures import rackvalues
from aifactory_lab.twin import hall as halls
from aifactory_lab.twin.plant import Plant

SMALL = halls.layout(Plant(gpus=288, chassis="gb200-nvl72"))


def values(**columns) -> pl.DataFrame:
    return pl.DataFrame({"rack": [0, 1, 2], **columns})


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20), st.sampled_from(list(rackvalues.MEASURES)))
@settings(max_examples=60, deadline=None)
def test_every_value_lies_on_its_scale(found, by):
    low, high = rackvalues.limits_of(pl.DataFrame({by: found}), by)
    assert low < high
    assert all(low <= value <= high * (1 + 1e-9) for value in found)
    assert high <= max(4 * max(found), low + 5, 1e3)  # and none is lost at the foot of it


def test_the_plan_draws_every_rack_once_and_names_what_is_wrong():
    frame = values(watts=[1e3, 2e3, None], state=["up", "degraded", "up"]).vstack(
        pl.DataFrame({"rack": [3], "watts": [0.0], "state": ["down"]})
    )
    figure = figures.plan(SMALL, frame)
    outlines = [trace for trace in figure.data if trace.fill == "toself"]
    drawn = sum(np.isnan(np.array(trace.x, dtype=float)).sum() for trace in outlines)
    assert drawn == SMALL.racks.height + SMALL.coolers.height
    names = {trace.name for trace in figure.data}
    assert {"degraded (1)", "down (1)", "not known (1)"} <= names
    (hover,) = [trace for trace in figure.data if trace.text is not None]
    assert "rack 2, row 1: up<br>power not known" in hover.text[2]
    assert (hover.marker.cmin, hover.marker.cmax) == (0, 2)


def test_the_plan_takes_the_limits_of_its_caller():
    figure = figures.plan(SMALL, values(celsius=[30.0, 40.0, 50.0]), "celsius", limits={"celsius": (20, 60)})
    (hover,) = [trace for trace in figure.data if trace.text is not None]
    assert (hover.marker.cmin, hover.marker.cmax) == (20, 60)
    with pytest.raises(TwinError, match="'joy'"):
        figures.plan(SMALL, by="joy")
