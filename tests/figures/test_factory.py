"""Pictures of the line, looked at as data."""

import pytest

from aifactory_lab import figures
from aifactory_lab.figures import factory, theme
from aifactory_lab.measure import StationReport


def report(station: str, seconds: float, floor: float | None) -> StationReport:
    return StationReport(station, "rows", 10, seconds, 2 * seconds, 1 << 30, "cpu", "asked", floor_seconds=floor)


def test_floors_show_each_station_beside_its_limit():
    figure = factory.floors([report("etl", 2.0, 0.02), report("talk", 1.0, None)])
    measured, floor = figure.data
    assert (list(measured.y), list(measured.x), list(floor.x)) == (["etl"], [2.0], [0.02])
    assert list(floor.text) == ["20 ms"]
    assert figure.layout.xaxis.type == "log"


def test_stations_and_memory():
    reports = [report("etl", 2.0, None), report("train", 3.0, None)]
    wall, cpu = factory.stations(reports).data
    assert (list(wall.y), list(cpu.y)) == ([2.0, 3.0], [4.0, 6.0])
    assert list(factory.memory(reports).data[0].y) == [1024.0, 1024.0]


def test_lineage_is_a_chain():
    figure = factory.lineage([("raw", "a" * 64), ("features", "b" * 12)])
    assert list(figure.data[0].text) == ["<b>raw</b>", "<b>features</b>"]
    assert [a.text for a in figure.layout.annotations] == ["a" * 12, "b" * 12]


def test_every_figure_reads_on_light_and_dark():
    for figure in (factory.memory([report("etl", 1.0, 1.0)]), factory.lineage([("raw", "x")])):
        assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
        assert figure.layout.font.color == theme.INK


def test_rooms_open_by_name():
    assert figures.factory is factory
    with pytest.raises(AttributeError, match="has no 'attic'"):
        _ = figures.attic
