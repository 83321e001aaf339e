"""On a machine with a GPU: its links are really measured, and a station that crosses them has a floor."""

import pytest

from aifactory_lab import datasets, device, etl, links
from aifactory_lab.roofline import Roofline

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> links.Links:
    return links.measure(tmp_path_factory.mktemp("links"))


def test_every_gpu_and_every_pair_is_measured(found):
    gpus = len(device.current("gpu", needs=()).gpus)
    assert found.gpus == gpus
    assert len(found.parts["gpus"].links) == 4 * gpus + gpus * (gpus - 1)
    assert all(link.passes for link in found.parts["gpus"].links), found.words()
    assert found.notes == ()


def test_no_link_carries_more_than_is_published(found):
    """A rate above the standard's would be a wrong promise or a wrong clock; 2 % are left to the clock."""
    for link in found.parts["gpus"].links:
        assert link.share is None or link.share < 1.02, str(link)


def test_pinned_memory_is_not_slower_than_pageable(found):
    assert found.rate("gpu0_from_host") > 0.9 * found.rate("gpu0_from_host_pageable")


def test_the_recipes_bytes_have_a_floor(found, tmp_path):
    raw = datasets.load("flights")
    report = etl.run(etl.recipes.flights(), raw, engine="gpu", out=tmp_path, progress=False)
    assert report.host_to_device_bytes == raw.bytes
    assert report.device_to_host_bytes == report.bytes_out
    machine = Roofline.of(found)
    crossed = raw.bytes / machine.host_to_device + report.bytes_out / machine.device_to_host
    assert report.against(machine).floor_seconds > crossed > 0
