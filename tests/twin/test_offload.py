"""Moving to a GPU: the closed form against a search, and what each roof decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.links import published
from aifactory_lab.twin import hardware, offload
from aifactory_lab.twin.offload import Host

H100, GH200 = hardware.gpu("h100-sxm"), hardware.gpu("gh200")
CORE = Host(memory_bytes_s=20e9, flops_s=100e9)
RATES = st.floats(1e8, 1e12)


def faster(host, gpu, intensity, link, passes=1.0):
    there = offload.seconds(gpu, 1e9, intensity, link_bytes_s=link, passes=passes)
    return passes * host.seconds(1e9, intensity) >= there * (1 - 1e-9)


@given(memory=RATES, flops=st.floats(1e9, 1e14), link=RATES, passes=st.floats(1, 1e4))
def test_beyond_the_break_even_the_gpu_is_always_faster_and_just_below_it_is_not(memory, flops, link, passes):
    host = Host(memory, flops)
    found = offload.break_even(host, H100, link_bytes_s=link, passes=passes)
    assert np.isfinite(found)
    for factor in (1.0001, 2.0, 1e3, 1e6):
        assert faster(host, H100, found * factor + 1e-9, link, passes)
    if found > 0:
        assert not faster(host, H100, found * 0.999, link, passes)


def test_a_gpu_slower_than_the_host_is_never_worth_it():
    assert offload.break_even(Host(20e9, 1e18), H100, link_bytes_s=60e9) == np.inf


def test_a_pass_is_as_long_as_its_slowest_roof():
    assert CORE.seconds(20e9, 0.0) == 1.0
    assert CORE.seconds(20e9, 50.0) == 10.0
    there = offload.seconds(H100, 60e9, 0.0, link_bytes_s=60e9)
    assert there == pytest.approx(1 + 60e9 / H100.memory_bandwidth_bytes_s)


def test_a_wider_link_and_more_passes_never_ask_for_more():
    pcie, c2c = published.pcie(5, 16).bytes_s, published.c2c().bytes_s
    many = Host(memory_bytes_s=500e9, flops_s=3e12)  # about a Grace
    by_pcie, by_c2c = (offload.break_even(many, GH200, link_bytes_s=link) for link in (pcie, c2c))
    assert 0 < by_c2c < by_pcie
    slower = Host(memory_bytes_s=300e9, flops_s=3e12)  # the GPU reads its memory over C2C faster than it does itself
    assert offload.break_even(slower, GH200, link_bytes_s=c2c) == 0
    assert offload.break_even(many, GH200, link_bytes_s=pcie, passes=1000) < by_pcie
    assert by_pcie / by_c2c > 6  # most of the seven times that C2C is wider


def test_the_curve_is_one_row_a_gpu_link_and_intensity():
    table = offload.curve(CORE, [H100, GH200], {"narrow": 1e9, "wide": 1e11}, intensities=(1.0, 10.0))
    assert table.height == 8
    row = table.filter(gpu="h100-sxm", link="narrow", intensity=10.0).row(0, named=True)
    assert row["faster"] == pytest.approx(float(CORE.seconds(1, 10) / offload.seconds(H100, 1, 10, link_bytes_s=1e9)))


@pytest.mark.parametrize("wrong", [{"memory_bytes_s": 0.0, "flops_s": 1.0}, {"memory_bytes_s": 1.0, "flops_s": -1.0}])
def test_what_cannot_be(wrong):
    with pytest.raises(TwinError, match="cannot be"):
        Host(**wrong)
    with pytest.raises(TwinError, match="link_bytes_s=0 must be positive"):
        offload.seconds(H100, 1, 1, link_bytes_s=0)
