"""Each rung, and the two mistakes that look like progress."""

import pytest

from aifactory_lab.etl.features import FeatureSpec
from aifactory_lab.train import ladder


@pytest.fixture(scope="module")
def frame(features):
    return ladder.climb(features, device="cpu", threads=1, rounds=60)


def auc(frame, rung):
    return dict(frame.select("rung", "auc").rows())[rung]


def test_honest_groups_add_and_mistakes_flatter(frame):
    assert frame["rung"].to_list() == ["schedule", "+ weather", "+ plane", "random split", "+ leak"]
    assert auc(frame, "+ weather") > auc(frame, "schedule")
    honest = auc(frame, "+ plane")
    assert auc(frame, "random split") > honest + 0.02
    assert auc(frame, "+ leak") > honest + 0.1


def test_every_rung_says_what_it_is(frame):
    assert frame["honest"].to_list() == [True, True, True, False, False]
    assert (frame["low"] < frame["auc"]).all()
    assert (frame["auc"] < frame["high"]).all()
    assert frame["split"].to_list() == ["time", "time", "time", "random", "time"]
    assert (frame["sentence"].str.len_chars() > 20).all()


def test_random_split_keeps_the_sizes(features):
    from aifactory_lab.train.table import Table

    table = Table.open(features)
    by_time, at_random = (ladder._parts(table, split, 0) for split in ("time", "random"))
    assert len(at_random[2]) == len(by_time[2])
    assert sum(map(len, at_random)) == sum(map(len, by_time))


@pytest.mark.parametrize(
    ("groups", "leaks", "names"),
    [
        ({"a": ("x",)}, (), ["a", "random split"]),
        ({"a": ("x",), "b": ("y",)}, (), ["a", "+ b", "random split"]),
        (
            {"a": ("x",), "b": ("y",), "c": ("z",), "d": ("w",), "e": ("v",)},
            ("e",),
            ["a", "+ b, c", "+ d", "random split", "+ e"],
        ),
    ],
)
def test_rungs_of_any_table(groups, leaks, names):
    spec = FeatureSpec("y", "t", "s", groups, leaks)
    assert [rung.name for rung in ladder.rungs(spec)] == names
