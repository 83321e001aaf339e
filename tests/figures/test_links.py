"""The picture of links: a bar for what was measured, a mark for what was published, and nothing for what was not."""

import pytest

from aifactory_lab import figures
from aifactory_lab.links import Link, Links, Part, published

G = 1e9


@pytest.fixture
def found() -> Links:
    """A disk without a promise, a GPU with one, a link that could not be measured."""
    gpu = Link("gpu0_from_host", "gpu 0", (50 * G, 55 * G, 56 * G)).against(published.pcie(5, 16))
    disk = Link("disk_read", "disk, read", (2 * G, 1 * G, 4 * G), reason="a virtual disk does not say")
    return Links("here", "/", {"all": Part((disk, gpu, Link("disk_read_direct", "disk", reason="refused")))})


def trace(figure, kind):
    return [one for one in figure.data if one.type == kind]


def test_bars_are_medians_with_their_spread(found):
    disk, gpu = trace(figures.links.bars(found), "bar")
    assert (list(disk.y), list(disk.x)) == (["disk read"], [2.0])
    assert (list(gpu.y), list(gpu.x)) == (["GPU 0 from host"], [55.0])
    assert (list(gpu.error_x.array), list(gpu.error_x.arrayminus)) == ([1.0], [5.0])


def test_a_promise_is_a_mark_and_none_is_said_not_drawn(found):
    marks, words = trace(figures.links.bars(found), "scatter")
    assert (list(marks.y), marks.name) == (["GPU 0 from host"], "published")
    assert marks.x[0] == pytest.approx(63.0, abs=0.1)
    assert list(words.text) == ["2 of ?", "55 of 63", "not measured"]


def test_a_machine_of_which_nothing_is_promised_has_no_mark(found):
    figure = figures.links.bars(Links("here", "/", {"all": Part(found.links[:1])}))
    assert len(trace(figure, "scatter")) == 1
    assert figure.layout.showlegend is False


def test_links_stand_in_the_order_of_the_table(found):
    figure = figures.links.bars(found)
    assert list(figure.layout.yaxis.categoryarray) == ["disk read direct", "GPU 0 from host", "disk read"]
    assert figure.layout.title.text == "What the links of here carry"


def test_a_line_a_link_and_the_line_at_which_nothing_is_gained():
    from aifactory_lab.twin import hardware, offload

    links = {"PCIe": 60e9, "C2C": 450e9}
    gpu = hardware.gpu("gh200")
    curve = offload.curve(offload.Host(300e9, 3e12), [gpu], links, intensities=(0.1, 1.0, 10.0))
    figure = figures.links.worth(curve)
    assert [line.name for line in figure.data] == ["PCIe", "C2C"]
    assert all(len(line.x) == 3 for line in figure.data)
    assert [shape.y0 for shape in figure.layout.shapes] == [1]
    both = offload.curve(offload.Host(300e9, 3e12), [gpu, hardware.gpu("l4")], links, intensities=(0.1, 1.0))
    assert figures.links.worth(both).data[1].name == "l4, PCIe"
