"""The still pictures of the live boards."""

import numpy as np

from aifactory_lab.figures import boards
from aifactory_lab.telemetry.history import History
from tests.widgets import plant


def past(layout, snapshot_at, seconds: int = 30) -> History:
    return plant.history([snapshot_at(layout, float(second)) for second in range(seconds)])


def test_throughput_has_a_chart_per_metric_that_is_exposed():
    figure = boards.throughput([past(plant.service_layout(), plant.service_snapshot)])
    heads = [note.text for note in figure.layout.annotations]
    assert heads[0] == "output tokens (tokens/s)"
    assert "latency p99 (s)" in heads
    assert {trace.name for trace in figure.data} == {"predictions", "tokens"}
    assert sum(trace.showlegend for trace in figure.data) == 2


def test_many_gpus_are_drawn_as_their_mean():
    layout = plant.gpu_layout(64)
    figure = boards.overview([past(layout, plant.gpu_snapshot)])
    (busy,) = [trace for trace in figure.data if trace.xaxis == "x"]
    assert busy.name == "mean of 64"
    first = plant.gpu_snapshot(layout, 0.0)
    assert np.isclose(busy.y[0], first.column("busy").mean())


def test_a_fleet_is_a_heat_map_with_a_full_scale():
    figure = boards.fleet(past(plant.gpu_layout(8), plant.gpu_snapshot))
    (heat,) = figure.data
    assert (heat.z.shape, heat.zmin, heat.zmax) == ((8, 30), 0, 100)
    assert heat.y[0] == "gpu 0"
    assert figure.layout.title.text == "Busy of 8, over time (simulated: a scripted plant)", (
        "it says what was not measured"
    )


def test_the_floor_shows_who_ran_and_says_unknown_energy():
    figure = boards.floor(plant.station_snapshot(plant.station_layout(), 10.0))
    (bars,) = figure.data
    assert bars.y == ("ingest", "etl", "train", "score")
    assert bars.text[0] == "338,412 made · energy unknown"
    assert bars.text[1] == "338,412 made · 412 J"
