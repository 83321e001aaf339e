"""Pictures of the plant, looked at as data: nothing without a value is drawn as a number, nothing simulated as real."""

import numpy as np
import pytest

from aifactory_lab.errors import TelemetryError
from aifactory_lab.figures import plant, runs, theme
from aifactory_lab.telemetry import Recording
from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State
from aifactory_lab.telemetry.recordings.bands import Band
from tests.telemetry.runs import T0, recorded, working
from tests.telemetry.runs import plant as node


def fleet(nodes: int, units: int = 8, racks: int = 1, origin="measured", label: str = "") -> Layout:
    """Return racks of nodes of GPUs."""
    entities = (
        Entity(("lab", f"rack {rack:02d}", f"node {place:03d}", f"gpu {unit}"), "gpu", "H100")
        for rack in range(racks)
        for place in range(nodes)
        for unit in range(units)
    )
    return Layout(tuple(entities), ("busy", "memory_used", "memory_total"), origin, label)


def snapshot(layout: Layout) -> Snapshot:
    values = np.tile(np.arange(len(layout.entities), dtype=float)[:, None], (1, len(layout.metrics)))
    return Snapshot(T0, layout, values, np.zeros(layout.shape, dtype=np.uint8))


def history(layout: Layout, samples: int = 30) -> History:
    random = np.random.default_rng(0)
    values = 100 * random.random((samples, *layout.shape))
    return History(layout, T0 + np.arange(samples), values, np.zeros(values.shape, dtype=np.uint8))


# the map


@pytest.mark.parametrize(("racks", "nodes", "units"), [(1, 1, 1), (1, 4, 8), (4, 32, 8), (40, 32, 8), (1, 1250, 8)])
def test_every_device_has_one_cell(racks, nodes, units):
    figure = plant.heat(snapshot(fleet(nodes, units, racks)), "busy")
    grid, texts = figure.data[0].z, figure.data[0].hovertext
    assert np.sort(grid[~np.isnan(grid)]).tolist() == list(range(racks * nodes * units))
    assert (texts != "").sum() == racks * nodes * units
    assert grid.shape[1] <= plant.WIDTH
    assert len(figure.layout.yaxis.ticktext) <= plant.MOST_ROWS
    assert len(figure.data) == 1, "nothing to mark"


def test_rows_are_nodes_with_a_gap_between_racks():
    figure = plant.heat(snapshot(fleet(2, 8, 2)), "busy")
    assert figure.data[0].z.shape == (5, 8)
    assert np.isnan(figure.data[0].z[2]).all()
    assert figure.layout.yaxis.ticktext[0] == "rack 00 · node 000"
    assert list(figure.layout.yaxis.tickvals) == [0, 1, 3, 4]


def test_rows_are_racks_where_nodes_are_many_with_a_gap_between_nodes():
    grid = plant.heat(snapshot(fleet(5, 4, 40)), "busy").data[0].z
    assert np.isnan(grid[:, [4, 9, 14]]).all()
    assert plant.heat(snapshot(fleet(5, 4, 40)), "busy").layout.yaxis.ticktext[39] == "rack 39"


def test_what_has_no_value_is_marked_as_what_it_is():
    layout = fleet(1)
    shot, ids = snapshot(layout), [entity.id for entity in layout.entities]
    for place, state in ((1, State.UNSUPPORTED), (2, State.LOST), (3, State.LOST), (5, State.STALE)):
        shot.put(ids[place], busy=state)
    figure = plant.heat(shot, "busy")
    marks = {trace.name: (list(trace.x), trace.marker.symbol) for trace in figure.data[1:]}
    assert marks == {
        "unsupported (1)": ([1], "line-ew-open"),
        "lost (2)": ([2, 3], "x-thin-open"),
        "stale (1)": ([5], "circle-open"),
    }
    assert np.isnan(figure.data[0].z[0, [1, 2, 3, 5]]).all()
    assert figure.data[0].hovertext[0, 2].endswith("<br>lost")


def test_mig_instances_stand_beside_their_gpu_and_are_marked():
    gpu = ("lab", "rack 1", "node 1", "gpu 0")
    entities = (
        Entity(gpu),
        Entity((*gpu, "mig 0"), "mig"),
        Entity((*gpu, "mig 1"), "mig"),
        Entity((*gpu[:3], "gpu 1")),
    )
    figure = plant.heat(snapshot(Layout(entities, ("busy",))), "busy")
    assert figure.data[0].z.tolist() == [[0, 1, 2, 3]]
    assert (figure.data[1].name, list(figure.data[1].x)) == ("MIG instance (2)", [1, 2])


def test_full_scale_is_the_metrics_own():
    shot = snapshot(fleet(1))
    assert plant.heat(shot, "busy").data[0].zmax == 100
    assert plant.heat(shot, "memory_used").data[0].zmax == 7, "the largest memory there is"
    assert plant.heat(Snapshot.blank(shot.layout, time=T0), "memory_used").data[0].zmax == 1


@pytest.mark.parametrize(
    ("origin", "label", "title"),
    [
        ("measured", "node-3", "Busy, %"),
        ("simulated", "", "Busy, % (simulated)"),
        ("simulated", "a twin", "Busy, % (simulated: a twin)"),
        ("simulated", "simulated: a twin", "Busy, % (simulated: a twin)"),
        ("recorded", "recording of node-3, 10×", "Busy, % (recording of node-3, 10×)"),
        ("recorded", "old", "Busy, % (recorded: old)"),
    ],
)
def test_what_was_not_measured_says_so_in_the_title(origin, label, title):
    layout = fleet(1, origin=origin, label=label)
    assert plant.heat(snapshot(layout), "busy").layout.title.text == title
    assert runs.lines(history(layout), "busy").layout.title.text == title
    several = runs.lines(history(layout), ["busy", "memory_used"]).layout.title.text
    assert several == title.replace("Busy, %", "Readings over time")


# lines


def test_few_devices_are_a_line_each_of_one_colour_in_every_metric():
    figure = runs.lines(history(fleet(1, 3)), ["busy", "memory_used"])
    assert [trace.name for trace in figure.data] == ["gpu 0", "gpu 1", "gpu 2"] * 2
    assert [trace.line.color for trace in figure.data] == [*theme.COLOURS[:3]] * 2
    assert [trace.showlegend for trace in figure.data] == [True] * 3 + [False] * 3
    assert str(figure.data[0].x[0]).startswith("2026-11-24T14:02:10")
    assert figure.layout.yaxis.title.text == "busy, %"


def test_devices_of_one_name_are_told_apart_and_some_can_be_chosen():
    figure = runs.lines(
        history(fleet(2, 2)), "busy", entities=["lab/rack 00/node 000/gpu 1", "lab/rack 00/node 001/gpu 1"]
    )
    assert [trace.name for trace in figure.data] == ["lab/rack 00/node 000/gpu 1", "lab/rack 00/node 001/gpu 1"]


def test_many_devices_are_their_median_and_range():
    past = history(fleet(8, 8))
    past.values[5, :, 0] = np.nan
    lowest, highest, median = runs.lines(past, "busy").data
    known = past.metric("busy")
    np.testing.assert_allclose(lowest.y, known.min(axis=1))
    np.testing.assert_allclose(highest.y, known.max(axis=1))
    np.testing.assert_allclose(median.y, np.median(known, axis=1))
    assert np.isnan(median.y[5]), "a gap is a gap"
    assert median.name == "median of 64"


@pytest.mark.parametrize("devices", [1, 64])
def test_a_long_history_is_thinned_but_keeps_its_peaks(devices):
    past = history(fleet(1, devices), samples=50_000)
    past.values[33_333, 0, 0] = 4000.0
    for trace in runs.lines(past, "busy").data:
        assert len(trace.x) == len(trace.y) <= runs.MOST_POINTS
    assert max(np.nanmax(trace.y) for trace in runs.lines(past, "busy").data) == 4000


def test_stations_stand_behind_the_lines():
    events = [Band("etl", T0 + 2, T0 + 12), Band("train", T0 + 20), Band("etl", T0 + 13, T0 + 13.1), Band("old", 0, 1)]
    figure = runs.lines(history(fleet(1, 2)), ["busy", "memory_used"], events=events)
    assert len(figure.layout.shapes) == 2 * 3, "in every metric; what was before is not there"
    first = figure.layout.shapes[0]
    assert (first.x0, first.x1, first.layer) == ("2026-11-24T14:02:12.000", "2026-11-24T14:02:22.000", "below")
    assert [note.text for note in figure.layout.annotations] == ["etl", "train"], "a sliver carries no name"
    assert figure.layout.shapes[0].fillcolor == figure.layout.shapes[4].fillcolor != figure.layout.shapes[2].fillcolor


def test_an_empty_history_is_an_empty_figure():
    figure = runs.lines(History.empty(fleet(1)), "busy", events=[Band("etl", 0.0, 1.0)])
    assert sum(len(trace.x) for trace in figure.data) == 0
    assert len(figure.layout.shapes) == 0


# runs


@pytest.fixture
def two(tmp_path):
    """Two runs of one station, at 700 and 350 W a GPU; the second simulated."""
    runs = []
    for name, watts, begin, origin in (("before", 700.0, 5, "measured"), ("after", 350.0, 15, "simulated")):
        bands = [Band("etl", T0 + begin, T0 + begin + 20), Band("train", T0 + 30, T0 + 45)]
        runs.append(
            Recording.open(recorded(tmp_path / name, working(node(2, origin=origin, label=""), 60, watts), bands))
        )
    return runs


def test_two_runs_lie_over_each_other(two):
    figure = runs.overlay(*two, "power", align="station", station="etl")
    assert [trace.name for trace in figure.data] == ["before", "after"]
    assert [trace.x[0] for trace in figure.data] == [-5, -15]
    assert [set(trace.y) for trace in figure.data] == [{1400.0}, {700.0}]
    assert figure.layout.title.text == "Power, W (simulated)", "one of them was"
    assert figure.layout.xaxis.title.text == "seconds since etl began"
    with pytest.raises(TelemetryError, match="no metric 'colour'"):
        runs.overlay(*two, "colour")


def test_joules_by_station(two):
    figure = runs.energy(*two)
    assert [dict(zip(bar.x, bar.y, strict=True)) for bar in figure.data] == [
        pytest.approx({"etl": 28_000, "train": 21_000}),
        pytest.approx({"etl": 14_000, "train": 10_500}),
    ]
    assert list(figure.data[0].text) == ["28 kJ", "21 kJ"]


def test_joules_that_nobody_counted_are_not_drawn(tmp_path):
    layout = node(1, ("busy",))
    samples = [Snapshot.blank(layout, time=T0 + t).put(layout.entities[0].id, busy=5.0) for t in range(9)]
    figure = runs.energy(Recording.open(recorded(tmp_path / "run", samples, [Band("etl", T0, T0 + 5)])))
    assert len(figure.data[0].x) == 0
    assert figure.layout.xaxis.title.text == "not known: etl"


def test_the_time_of_stations_and_of_none_adds_up(two):
    figure = runs.share_of_time(*two)
    shares = {bar.name: list(bar.x) for bar in figure.data}
    assert shares["etl"] == pytest.approx([100 * 20 / 59] * 2)
    assert shares["no station"] == pytest.approx([100 * 24 / 59, 100 * 29 / 59]), "in the second they overlap by 5 s"


def test_a_station_that_still_works_leaves_no_idle_time_after_it(tmp_path):
    bands = [Band("etl", T0, T0 + 10), Band("train", T0 + 5)]
    recording = Recording.open(recorded(tmp_path / "run", working(node(1), 20, 1.0), bands))
    shares = {bar.name: bar.x[0] for bar in runs.share_of_time(recording).data}
    assert shares == pytest.approx({"etl": 100 * 10 / 19, "train": 100 * 14 / 19, "no station": 0})


def test_they_read_on_light_and_dark(two):
    for figure in (plant.heat(snapshot(fleet(1)), "busy"), runs.energy(*two), runs.overlay(*two, "busy")):
        assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
        assert figure.layout.font.color == theme.INK
