"""The fabric: NVIDIA's counts, ports that suffice, counts that grow with the plant, and what failures leave."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import fabric, hardware
from aifactory_lab.twin.fabric import FatTree

SMALL = st.builds(FatTree, st.integers(1, 1024), rails=st.integers(1, 8), radix=st.sampled_from([32, 64, 144]))


@pytest.mark.parametrize("family", ["b200", "b300"])
def test_all_printed_counts_are_met(family):
    for nodes, row in fabric.printed(family).items():
        assert fabric.superpod(family, nodes=nodes).counts == row
    assert len(fabric.printed("b200")) * 6 == 36


def test_where_xdr_differs_from_what_is_printed_is_known():
    odd = {nodes: (fabric.superpod("b300-xdr", nodes=nodes).spines, row[1])
           for nodes, row in fabric.printed("b300-xdr").items()
           if fabric.superpod("b300-xdr", nodes=nodes).counts != row}  # fmt: skip
    assert odd == {288: (16, 18), 576: (32, 36)}


@pytest.mark.parametrize(("family", "switch"), [("b200", "quantum-2"), ("b300-xdr", "quantum-x800")])
def test_its_switches_are_those_of_the_catalogue(family, switch):
    assert fabric.superpod(family, nodes=64).radix == hardware.switch(switch).ports


@settings(deadline=None)
@given(SMALL)
def test_ports_suffice_in_every_tier(tree):
    down, up, top = tree.cables
    half = tree.radix // 2
    assert down <= tree.leaves * half
    assert up <= tree.spines * tree.radix if not tree.three else up + top <= tree.spines * tree.radix
    assert top <= tree.cores * tree.radix
    assert down == up
    assert not tree.three or tree.leaves > tree.radix


@settings(deadline=None)
@given(st.integers(1, 2047), st.sampled_from(["b200", "b300", "b300-xdr"]))
def test_a_larger_plant_never_takes_fewer(nodes, family):
    here, there = (fabric.superpod(family, nodes=count) for count in (nodes, nodes + 1))
    assert all(one <= other for one, other in zip(here.counts, there.counts, strict=True))
    assert here.switches == here.leaves + here.spines + here.cores


@settings(deadline=None)
@given(SMALL, st.data())
def test_more_failures_never_leave_more(tree, data):
    most = {"leaves": tree.leaves, "spines": tree.spines, "cores": tree.cores}
    most |= {"node_cables": tree.cables[0], "leaf_cables": tree.cables[1]}
    fewer = {name: data.draw(st.integers(0, count), label=name) for name, count in most.items()}
    more = {name: data.draw(st.integers(fewer[name], count), label=name) for name, count in most.items()}
    before, after = tree.after(**fewer), tree.after(**more)
    assert 0 <= after.slowest <= before.slowest <= 1
    assert -1e-12 <= after.bisection <= before.bisection <= 1
    assert before.nodes <= after.nodes <= tree.nodes


def test_nothing_failed_leaves_all():
    whole = fabric.superpod("b200", nodes=512).after()
    assert (whole.slowest, whole.bisection, whole.nodes) == (1.0, 1.0, 0)


def test_a_leaf_takes_a_rail_from_its_nodes():
    tree = fabric.superpod("b200", nodes=128)
    lost = tree.after(leaves=1)
    assert lost.slowest == 7 / 8
    assert lost.nodes == 32
    assert tree.after(leaves=8).slowest == 0  # all rails of a scalable unit
    assert tree.after(node_cables=1).slowest == 7 / 8
    assert tree.after(node_cables=1).nodes == 1


def test_a_spine_costs_all_a_little_and_a_leafs_cable_only_its_own():
    tree = fabric.superpod("b200", nodes=128)
    assert tree.after(spines=1).slowest == 15 / 16
    assert tree.after(spines=1).nodes == 0
    assert tree.after(leaf_cables=1).slowest == 31 / 32
    assert tree.after(leaf_cables=1).bisection == 1023 / 1024
    assert fabric.superpod("b200", nodes=2048).after(cores=16).slowest == 15 / 16


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: FatTree(0), "nodes=0"),
        (lambda: FatTree(8, rails=0), "rails=0"),
        (lambda: FatTree(8, radix=63), "radix=63"),
        (lambda: FatTree(8, tiers=4), "tiers=4"),
        (lambda: FatTree(100_000), "nodes=100000"),
        (lambda: fabric.superpod("b900", nodes=64), "b900"),
        (lambda: FatTree(64).after(leaves=17), "leaves=17"),
        (lambda: FatTree(64).after(cores=1), "cores=1"),
        (lambda: FatTree(64).after(spines=-1), "spines=-1"),
    ],
)
def test_what_cannot_be_is_refused(call, named):
    with pytest.raises(TwinError, match=named) as refused:
        call()
    assert refused.value.mend
