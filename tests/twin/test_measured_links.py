"""Measured links in the twin: a healthy one changes nothing, a narrow one reaches every figure that it should."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.links import Link, Links, Part
from aifactory_lab.twin import chip, collectives, hardware, measured_links, mirror
from aifactory_lab.twin.design import Service, evaluate
from aifactory_lab.twin.plant import Plant

H100, L40S, GH200 = (hardware.gpu(name) for name in ("h100-sxm", "l40s", "gh200"))
HEALTHY = 390e9  # what a copy between two H100s reaches of 450 GB/s, about


def found(*pairs: float, host: float | None = None, notes: tuple[str, ...] = ()) -> Links:
    links = [Link(f"gpu{place}_to_gpu{place + 1}", "", (rate,)) for place, rate in enumerate(pairs)]
    links += [Link("gpu0_from_host", "", (host,))] if host else []
    return Links("theirs", "/", {"gpus": Part(tuple(links), notes, "2026-11-25")})


def test_a_healthy_link_leaves_the_fitted_figures_as_they_are():
    links = found(HEALTHY, HEALTHY, host=60e9)
    assert chip.LINK * H100.nvlink_bytes_s_per_direction < HEALTHY
    assert measured_links.bounded(H100, links).nvlink_bytes_s_per_direction == H100.nvlink_bytes_s_per_direction
    for gpus in (2, 8):
        assert collectives.nvlink("h100-sxm", gpus=gpus, links=links) == collectives.nvlink("h100-sxm", gpus=gpus)


def test_the_worst_pair_bounds_the_ring_and_says_where_it_was_measured():
    bound = measured_links.bounded(H100, found(HEALTHY, 100e9))
    speed, _ = chip.links(bound, np.array([8.0]))
    assert speed == pytest.approx(100e9)
    assert bound.statuses["nvlink_bytes_s_per_direction"] == "measured"
    assert bound.sources["nvlink_bytes_s_per_direction"] == "measured on theirs, 2026-11-25"
    assert collectives.nvlink("h100-sxm", gpus=8, links=found(100e9)).bytes_s == 100e9


def test_a_gpu_without_nvlink_is_bounded_on_pcie_and_a_grace_on_c2c():
    bound = measured_links.bounded(L40S, found(10e9, host=12e9))
    assert chip.links(bound, np.array([2.0]))[0] == pytest.approx(chip.LINK * 12e9)
    assert bound.pcie_bytes_s_per_direction == pytest.approx(12e9)
    grace = measured_links.bounded(GH200, found(host=300e9))
    assert (grace.c2c_bytes_s_per_direction, grace.nvlink_bytes_s_per_direction) == (300e9, 450e9)


def test_a_narrow_link_slows_the_design_that_shares_a_model_over_it():
    plant = Plant(gpus=64, chassis="dgx-h100")
    service = Service(model="llama-3-70b", precision="fp8", tp=8, concurrency=32)
    usual, narrow = evaluate(plant, service), evaluate(plant, service, links=found(20e9))
    assert evaluate(plant, service, links=found(HEALTHY)).tpot == usual.tpot
    assert narrow.tpot > 1.05 * usual.tpot
    alone = replace(service, model="llama-3-8b", tp=1)
    assert evaluate(plant, alone, links=found(20e9)).tpot == evaluate(plant, alone).tpot


def test_the_catalogue_keeps_all_other_parts():
    mine = measured_links.catalogue("h100", found(100e9))
    assert mine.gpu("h100-sxm") == mine.gpu("h100") != H100
    assert mine.gpu("b200-sxm") == hardware.gpu("b200-sxm")
    assert mine.names("node") == hardware.names("node")


def test_a_machine_without_gpus_bounds_none_and_says_why():
    with pytest.raises(TwinError, match="the links of theirs were measured without a GPU; no CUDA driver"):
        measured_links.bounded(H100, found(notes=("no CUDA driver",)))


def test_the_mirror_takes_its_memory_from_the_links():
    pytest.importorskip("torch")
    links = Links("here", "/", {"copy": Part((Link("memory_copy", "", (12.5e9,)),))})
    machine = mirror.this_machine(links=links)
    if isinstance(machine, mirror.Machine):
        assert machine.memory_bandwidth_bytes_s == 12.5e9


@given(st.lists(st.floats(1e9, 1e12), min_size=1, max_size=4), st.floats(1e9, 1e12))
def test_no_figure_ever_rises(pairs, host):
    for gpu in (H100, L40S, GH200):
        bound = measured_links.bounded(gpu, found(*pairs, host=host))
        for name in measured_links.FIELDS:
            before, after = getattr(gpu, name), getattr(bound, name)
            assert (before is None) == (after is None)
            assert before is None or after <= before
