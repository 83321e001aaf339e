"""Nothing in a hall overlaps, aisles are kept, and every rack and cooler is reached by its lines."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import grid, hall, routes
from aifactory_lab.twin.plant import Plant

CHASSIS = {"dgx-h100": 32, "dgx-b200": 32, "gb200-nvl72": 72, "gb300-nvl72": 72}
TOUCH = 1e-6  # metres: things of a row stand side by side

sizes = st.one_of(st.integers(1, 60), st.integers(60, 1500))
aisles = st.builds(
    hall.Aisle,
    cold=st.floats(0.9, 2.5),
    hot=st.floats(0.6, 2.0),
    across=st.floats(0.8, 3.0),
    longest=st.integers(1, 40),
)


def laid(chassis, racks, aisle=None):
    return hall.layout(Plant.about(racks * CHASSIS[chassis], chassis), aisle=aisle)


def boxes(frame):
    """West, east, south, north of each footprint."""
    x, y, w, d = (frame[name].to_numpy() for name in ("x", "y", "width", "depth"))
    return np.column_stack([x - w / 2, x + w / 2, y - d / 2, y + d / 2])


def overlapping(box, others):
    west, east, south, north = others.T
    return (
        (west < box[1] - TOUCH) & (east > box[0] + TOUCH) & (south < box[3] - TOUCH) & (north > box[2] + TOUCH)
    ).sum()


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(list(CHASSIS)), sizes, aisles)
def test_everything_stands_in_the_hall_and_nothing_overlaps_or_narrows_a_cold_aisle(chassis, racks, aisle):
    made = laid(chassis, racks, aisle)
    plant = made.plant
    assert (
        made.racks.filter(kind="gpu")
        .select("rack", "gpus")
        .sort("rack")
        .equals(plant.racks().select("rack", "gpus"), null_equal=True)
    )
    assert made.racks["switches"].sum() == plant.fabric.switches
    assert made.coolers["kind"].value_counts(sort=True).sort("kind").rows() == [
        (kind, count) for kind, count in (("cdu", plant.cdus), ("fan", plant.air_units)) if count
    ]
    every = np.concatenate([boxes(made.racks), boxes(made.coolers)])
    length, breadth, _ = made.extent
    assert every[:, [0, 2]].min() > -TOUCH
    assert every[:, 1].max() < length + TOUCH
    assert every[:, 3].max() < breadth + TOUCH
    # whoever stands before a front has the cold aisle to himself, and behind a back the hot one
    things = pl.concat([made.racks.select(COLUMNS), made.coolers.select(COLUMNS)])
    sample = np.unique(np.linspace(0, things.height - 1, 40).astype(int))
    for index in sample:
        assert overlapping(every[index], every) == 1
        assert overlapping(before(every[index], things.row(index, named=True), aisle.cold), every) == 0
    for index in sample[sample < made.racks.height]:
        assert overlapping(before(every[index], things.row(index, named=True), -aisle.hot), every) == 0


COLUMNS = ("x", "y", "width", "depth", "front")


def before(box, thing, wide):
    """The floor in front of a thing, or behind it where `wide` is negative."""
    west, east, south, north = box
    up = (thing["front"] == 90) == (wide > 0)
    return (west, east, north, north + abs(wide)) if up else (west, east, south - abs(wide), south)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(list(CHASSIS)), sizes, aisles)
def test_rows_are_no_longer_than_asked_and_ends_leave_a_passage(chassis, racks, aisle):
    made = laid(chassis, racks, aisle)
    rows = made.racks.group_by("row").agg(pl.len(), pl.col("y").n_unique().alias("lines"))
    assert rows["len"].max() <= aisle.longest
    assert rows["lines"].max() == 1
    things = pl.concat(
        [made.racks.select("row", *COLUMNS), made.coolers.filter(kind="cdu").select("row", *COLUMNS)]
    ).with_columns(west=pl.col("x") - pl.col("width") / 2, east=pl.col("x") + pl.col("width") / 2)
    ends = things.group_by("row").agg(pl.col("west").min(), pl.col("east").max(), pl.col("front").first())
    # in a row nothing but the things stands: its length is the sum of theirs
    sums = things.group_by("row").agg(pl.col("width").sum()).join(ends, on="row")
    assert ((sums["east"] - sums["west"] - sums["width"]).abs() < 1e-6).all()
    assert ends["west"].min() > aisle.across - TOUCH
    assert ends["east"].max() < made.extent[0] - aisle.across + TOUCH


def connected(lines, start_at, tolerance=1e-6):
    """Whether all lines of a system hang together: each touches one that is already reached."""
    ends = [np.array(points) for points in lines]
    reached, todo = set(start_at), list(start_at)
    while todo:
        one = ends[todo.pop()]
        for number, other in enumerate(ends):
            if number not in reached and touch(one, other, tolerance):
                reached.add(number)
                todo.append(number)
    return reached == set(range(len(ends)))


def touch(one, other, tolerance):
    """Two lines parallel to an axis touch if their boxes do."""
    low, high = np.minimum(one[0], one[-1]) - tolerance, np.maximum(one[0], one[-1]) + tolerance
    return (np.minimum(other[0], other[-1]) <= high).all() and (np.maximum(other[0], other[-1]) >= low).all()


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(list(CHASSIS)), st.integers(1, 400), aisles)
def test_every_thing_is_reached_by_its_lines_and_each_system_hangs_together(chassis, racks, aisle):
    made = laid(chassis, racks, aisle)
    every = pl.concat([made.pipes, made.trays.rename({"width": "diameter"})], how="diagonal")
    for (loop, system), lines in every.group_by("loop", "system"):
        points = lines["points"].to_list()
        outside = [number for number, line in enumerate(points) if line[0][1] == 0]
        assert bool(outside) == (loop == "facility" or system == "power")
        assert connected(points, outside or [0])
    drops = made.drops()
    counts = {(kind, loop): count for kind, loop, count in drops.group_by("kind", "loop").len().rows()}
    liquid, network = bool(made.plant.cdus), made.racks.filter(kind="network").height
    want = {("gpu", "power"): 1, ("gpu", "network"): 1, ("gpu", "technology"): 2 * liquid}
    assert {key: counts.get(key, 0) for key in want} == {
        key: made.plant.rack_count * each for key, each in want.items()
    }
    assert (counts["network", "power"], counts["network", "network"]) == (network, network)
    assert counts.get(("fan", "facility"), 0) == 2 * made.plant.air_units
    assert counts.get(("cdu", "facility"), 0) == counts.get(("cdu", "technology"), 0) == 2 * made.plant.cdus
    # a drop begins over its thing and ends in its header
    headers = {
        (loop, system, row): points
        for loop, system, row, points in every.select("loop", "system", "row", "points").rows()
        if row is not None
    }
    for loop, system, row, points in drops.select("loop", "system", "row", "points").head(300).rows():
        key = (loop if system in {"supply", "return"} else None, system, row)
        assert touch(np.array(points[1:]), np.array(headers[key]), 1e-6)


def litres_a_minute(diameter):
    """Water at 2 m/s."""
    return np.pi * diameter**2 / 4 * 2.0 * 1000 * 60


def test_a_pipe_is_as_wide_as_its_water_needs():
    # 115 kW at a rise of 10 K are 166 to 171 L/min, by the density and heat that one takes for the water
    assert 166 < litres_a_minute(routes.diameter(115e3, rise_kelvin=10)) < 171
    made = laid("gb200-nvl72", 40)
    for row, wide in made.pipes.filter(loop="technology", system="supply").drop_nulls("row")["row", "diameter"].rows():
        heat = made.racks.filter(row=row)["gpus"].sum() / 72 * 132e3 * 0.85
        given = made.coolers.filter(row=row, kind="cdu").height * 1.35e6
        assert litres_a_minute(wide) == pytest.approx(max(heat, given) / (992.2 * 4.179 * 10) * 60)


def test_ten_thousand_racks_fit_a_hall_about_square():
    made = laid("gb200-nvl72", 10_000)
    length, breadth, _ = made.extent
    assert 0.5 < length / breadth < 2
    assert np.unique(made.racks.select("x", "y").to_numpy().round(6), axis=0).shape[0] == made.racks.height > 10_000


def test_the_plan_of_a_small_hall_is_this_one():
    made = laid("gb200-nvl72", 1)
    assert made.racks.height == 2  # its switches stand beside it
    assert made.extent[0] < 8 > made.extent[1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cold": 0.0}, "cold=0"),
        ({"longest": 0}, "longest=0"),
        ({"longest": 2.5}, "longest=2.5"),
        ({"hot": np.nan}, "hot=nan"),
    ],
)
def test_a_width_that_cannot_be_is_named(wrong, said):
    with pytest.raises(TwinError, match=said) as caught:
        hall.Aisle(**wrong)
    assert caught.value.mend


def test_nodes_that_do_not_fit_their_rack_are_refused():
    with pytest.raises(TwinError, match="nodes_per_rack=6") as caught:
        hall.layout(Plant(gpus=480, nodes_per_rack=6))
    assert caught.value.mend == "nodes_per_rack=5"


def test_every_assumed_size_says_whence_it_is():
    assert all(hall.size(kind).why for kind in ("node-rack", "nvlink-rack", "cdu", "fan"))
    assert grid.value("ceiling_metres") > 2.4
