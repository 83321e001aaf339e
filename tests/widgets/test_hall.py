"""The hall in a notebook: what the kernel tells the page, and what it refuses."""

import numpy as np
import polars as pl
import pytest

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import hall as halls
from aifactory_lab.twin.plant import Plant
from aifactory_lab.widgets.hall import HallView

SMALL = halls.layout(Plant(gpus=288, chassis="gb200-nvl72"))
AIRY = halls.layout(Plant(gpus=1024, chassis="dgx-b200"))


def values(**columns) -> pl.DataFrame:
    return pl.DataFrame({"rack": [0, 1, 2], **columns})


def numbers(view: HallView, name: str = "watts") -> np.ndarray:
    (found,) = [one for one in view.told_values["measures"] if one["name"] == name]
    return np.frombuffer(found["numbers"], "<f4")


def scale(view: HallView, name: str = "watts") -> tuple[float, float]:
    (found,) = [one for one in view.told_values["measures"] if one["name"] == name]
    return found["low"], found["high"]


@pytest.mark.parametrize("hall", [SMALL, AIRY])
def test_boxes_on_the_wire_are_those_of_the_hall(hall):
    wire = HallView(hall).told_hall
    for told, frame in ((wire["racks"], hall.racks), (wire["coolers"], hall.coolers)):
        boxes = np.frombuffer(told["boxes"], "<f4").reshape(-1, 6)
        np.testing.assert_allclose(boxes[:, :2], frame.select("x", "y").to_numpy(), rtol=1e-6)
        along = np.where(frame["front"].to_numpy() % 180 == 90, frame["width"], frame["depth"])
        np.testing.assert_allclose(boxes[:, 2], along, rtol=1e-6)
        assert [told["kindNames"][kind] for kind in told["kinds"]] == frame["kind"].to_list()
    assert wire["racks"]["ids"] == hall.racks["rack"].to_list()


def test_lines_keep_every_point():
    lines = HallView(SMALL).told_hall["lines"]
    sent = sum(len(line["points"]) // 12 for line in lines)
    drawn = sum(len(run) for frame in (SMALL.pipes, SMALL.trays, SMALL.drops()) for run in frame["points"])
    assert sent == drawn == sum(np.frombuffer(line["lengths"], "<u4").sum() for line in lines)
    assert {line["system"] for line in lines} == {"supply", "return", "power", "network"}


def test_what_is_not_known_is_no_zero():
    view = HallView(SMALL, values(watts=[0.0, None, float("nan")], state=["up", "up", "down"]))
    told = numbers(view)
    assert told[0] == 0
    assert np.isnan(told[1:]).all()  # absent racks and network racks as well
    assert list(view.told_values["states"][:4]) == [0, 0, 2, 3]


def test_scales_only_widen_until_the_hall_changes():
    view = HallView(SMALL, values(watts=[10e3, 20e3, 90e3], celsius=[31.0, 32.0, 44.0]))
    assert (scale(view), scale(view, "celsius")) == ((0, 100e3), (30, 45))
    view.update(values(watts=[1e3, 2e3, 3e3], celsius=[22.0, 23.0, 24.0]))
    assert (scale(view), scale(view, "celsius")) == ((0, 100e3), (20, 45))
    view.update(values(watts=[1e3, 2e3, 3e3]), hall=AIRY)
    assert scale(view) == (0, 3e3)
    fixed = HallView(SMALL, values(watts=[1.0, 2.0, 3.0]), limits={"watts": (0, 132e3)})
    assert scale(fixed) == (0, 132e3)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pl.DataFrame({"watts": [1.0]}), "no column 'rack'"),
        (pl.DataFrame({"rack": [999], "watts": [1.0]}), "rack 999"),
        (pl.DataFrame({"rack": [1, 1], "watts": [1.0, 2.0]}), "more than one row"),
        (values(state=["up", "burning", "up"]), "'burning'"),
        (values(celsius=[1.0, float("inf"), 2.0]), "celsius of a rack is infinite"),
    ],
)
def test_values_that_cannot_be_are_refused_and_nothing_changes(frame, words):
    view = HallView(SMALL, values(watts=[1e3, 2e3, 3e3]))
    before = dict(view.told_values)
    with pytest.raises(TwinError, match=words) as error:
        view.update(frame)
    assert error.value.mend
    assert view.told_values == before
    assert view.values.columns == ["rack", "watts"]


def test_only_a_rack_of_the_hall_can_be_selected_and_only_a_measure_coloured_by():
    view = HallView(SMALL)
    view.selected = 2
    with pytest.raises(TwinError, match="rack 400"):
        view.selected = 400
    with pytest.raises(TwinError, match="'joy'"):
        view.by = "joy"
    with pytest.raises(TwinError, match="'joy'"):
        HallView(SMALL, by="joy")
    assert (view.selected, view.by) == (2, "watts")


def test_a_rack_that_is_not_in_the_next_hall_is_closed():
    view = HallView(AIRY)
    view.selected = 30
    view.update(hall=SMALL)
    assert view.selected is None
    assert len(view.told_hall["racks"]["ids"]) == SMALL.racks.height


def test_an_update_costs_a_few_bytes_a_rack():
    view = HallView(AIRY, pl.DataFrame({"rack": range(32), "watts": [1e3] * 32}))
    size = sum(len(one["numbers"]) for one in view.told_values["measures"]) + len(view.told_values["states"])
    assert size == 13 * AIRY.racks.height


def test_what_is_picked_in_the_page_is_picked_in_the_kernel():
    view, seen = HallView(SMALL), []
    view.observe(lambda change: seen.append(change.new), "selected")
    for state in ({"selected": 3}, {"by": "celsius"}, {"selected": None}):
        data = {"method": "update", "state": state, "buffer_paths": []}
        view.comm.handle_msg({"content": {"data": data}, "buffers": []})
    assert (seen, view.by, view.selected) == ([3, None], "celsius", None)
