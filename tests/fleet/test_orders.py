"""An order is checked before it is sent, and kept whole."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.orders import PRIORITIES, Order

names = st.text("abcXYZ019._+-", min_size=1, max_size=64)
orders = st.builds(
    lambda nodes, each, **told: Order(nodes=nodes, gpus=nodes * each, **told),
    nodes=st.integers(1, 64),
    each=st.integers(0, 16),
    name=names,
    project=names,
    cpus=st.integers(1, 256),
    priority=st.sampled_from(PRIORITIES),
    hours=st.floats(0.001, 1000),
    after=st.lists(st.text("0123456789_", min_size=1), max_size=3).map(tuple),
    retries=st.integers(0, 9),
)


@settings(deadline=None)  # the first reads pydantic
@given(order=orders)
def test_an_order_that_is_kept_is_the_order_that_was_made(tmp_path_factory, order):
    path = tmp_path_factory.mktemp("orders") / "1_order.json"
    order.save(path)
    assert Order.load(path) == order
    assert order.gpus_per_node * order.nodes == order.gpus


@pytest.mark.parametrize("wrong", ["", "{", "[]", '{"name": "a"}', json.dumps({"name": "a", "after": [], "sudo": 1})])
def test_a_file_that_is_no_order_is_named(tmp_path, wrong):
    path = tmp_path / "1_order.json"
    path.write_text(wrong)
    with pytest.raises(FleetError, match=r"1_order\.json is not an order"):
        Order.load(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"gpus": -1},
        {"gpus": 1.0},
        {"gpus": True},
        {"nodes": 0},
        {"cpus": 0},
        {"gpus": 5, "nodes": 2},
        {"hours": float("nan")},
        {"hours": 9e9},
        {"project": "a;b"},
        {"project": ""},
        {"name": "x" * 65},
        {"priority": "TRAIN"},
    ],
    ids=str,
)
def test_wishes_that_make_no_sense_are_refused_with_the_line_that_does(wrong):
    with pytest.raises(FleetError) as caught:
        Order(**{"name": "a", **wrong})
    assert caught.value.mend.startswith("fleet.submit(fn, …, ")
    assert str(next(iter(wrong.values())))[:64] in caught.value.what


def test_only_training_borrows():
    assert [Order(name="a", priority=priority).borrows for priority in PRIORITIES] == [True, False, False]
