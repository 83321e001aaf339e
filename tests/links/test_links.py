"""Links as users see them: kept per machine and folder, told in words and tables, compared, on the command line."""

import json
import platform

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from aifactory_lab import links
from aifactory_lab.cli import app
from aifactory_lab.errors import DataError, WorkspaceError
from aifactory_lab.links import Link, Links, Part

QUICK = {"size": 4 << 20, "passes": 2}
RATES = st.lists(st.floats(1e6, 1e12), max_size=5).map(tuple)
LINKS = st.builds(
    Link, st.text(min_size=1), st.text(), RATES, st.none() | st.floats(1e6, 1e12), source=st.text(), reason=st.text()
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which every link was measured, quickly."""
    made = tmp_path_factory.mktemp("links")
    links.measure(made, **QUICK)
    return made


def test_what_was_measured_is_kept_and_not_measured_again(folder):
    found = links.measured(folder)
    assert found == links.kept(folder) == links.measured(folder, parts=("disk",))
    assert [path.name for path in folder.iterdir()] == ["links.json"]


def test_a_part_that_is_lacking_is_measured_beside_the_others(tmp_path):
    first = links.measure(tmp_path, parts=("copy",), **QUICK)
    assert [link.name for link in first.links] == ["memory_copy"]
    both = links.measured(tmp_path, parts=("copy", "gpus"))
    assert list(both.parts) == ["copy", "gpus"]
    assert both.parts["copy"] == first.parts["copy"]


@pytest.mark.parametrize(
    "change", ["{", "[]", "{}", {"machine": "another"}, {"form": 0}, {"parts": []}, {"parts": {"copy": 3}}]
)
def test_what_is_torn_or_of_another_machine_is_not_believed(folder, tmp_path, change):
    whole = json.loads((folder / "links.json").read_text())
    torn = change if isinstance(change, str) else json.dumps(whole | change)
    (tmp_path / "links.json").write_text(torn)
    assert links.kept(tmp_path) is None


def test_a_folder_that_cannot_be_written_and_a_part_that_is_none(tmp_path):
    with pytest.raises(WorkspaceError, match="absent cannot be measured"):
        links.measure(tmp_path / "absent", parts=("disk",))
    with pytest.raises(WorkspaceError, match="no part 'tape'"):
        links.measure(tmp_path, parts=("tape",))


def test_every_link_has_a_promise_or_a_reason(folder):
    table = links.measured(folder).table()
    assert {"disk_write", "disk_read", "disk_read_direct", "memory_copy", "memory_triad"} <= set(table["name"])
    assert table.filter(pl.col("published_gb_s").is_null() & (pl.col("reason") == "")).is_empty()
    measured = table.drop_nulls("gb_s")
    assert (measured["low"] <= measured["gb_s"]).all()
    assert (measured["gb_s"] <= measured["high"]).all()


def test_words_say_each_link_and_each_reason_once(folder):
    found = links.measured(folder)
    words = found.words()
    for link in found.links:
        assert words.count(f"{link.what}:") == 1
    for reason in {link.reason for link in found.links if link.reason}:
        assert words.count(reason) == 1


def test_a_link_in_words_beside_its_promise():
    link = Link("disk_read", "disk, read", (6e9, 5e9, 7e9)).against(links.published.pcie(4, 4), "the link's")
    assert str(link) == "disk, read, PCIe 4 × 4: 6 (5 to 7) GB/s, 76% of the published 7.877 GB/s"
    assert str(Link("x", "disk, read", reason="refused")) == "disk, read: not measured"


def test_who_is_asked_for_and_not_there(folder):
    found = links.measured(folder)
    with pytest.raises(DataError, match="no link 'tape'; there are: disk_write"):
        found.find("tape")
    assert found.rate("tape") is None


@given(st.lists(LINKS, max_size=4), st.lists(st.text(), max_size=2))
def test_links_survive_json(some, notes):
    before = Links("here", "/", {"disk": Part(tuple(some), tuple(notes), "2026-11-25")})
    assert Links.from_dict(json.loads(json.dumps(before.to_dict()))) == before


@given(LINKS)
def test_the_median_lies_between_slowest_and_fastest(link):
    row = link.row()
    assert (row["gb_s"] is None) == (link.passes == ())
    if link.passes:
        assert row["low"] <= row["gb_s"] <= row["high"]
        assert (row["share"] is None) == (link.promised_bytes_s is None)


def test_two_measurements_are_compared_by_their_passes_not_by_their_medians_alone():
    def of(**rates):
        return Links("here", "/", {"disk": Part(tuple(Link(name, "", passes) for name, passes in rates.items()))})

    first = of(near=(9e9, 10e9, 11e9), far=(9e9, 10e9, 11e9), gone=(1e9,), refused=())
    other = of(near=(10e9, 11e9, 12e9), far=(4e9, 5e9, 6e9), come=(1e9,), refused=())
    table = links.compare(first, other)
    assert dict(table.select("name", "changed").iter_rows()) == {
        "near": False, "far": True, "gone": None, "refused": None, "come": None,
    }  # fmt: skip
    assert table.filter(name="far")["ratio"].item() == pytest.approx(0.5)


def test_the_command_shows_what_is_kept_and_measures_again_when_asked(folder):
    shown = CliRunner().invoke(app, ["links", "--workspace", str(folder)])
    assert shown.exit_code == 0
    assert "memory, copy by 1 thread" in shown.output
    assert f"measured {links.kept(folder).date}" in shown.output
    refused = CliRunner().invoke(app, ["links", "--workspace", "/proc/nowhere"])
    assert refused.exit_code == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
LINK = st.fixed_dictionaries(dict.fromkeys(("name", "what", "passes", "promised_bytes_s", "source", "reason"), JSON))
PART = st.fixed_dictionaries({"links": st.lists(LINK, max_size=2), "notes": JSON, "date": JSON})
FILES = JSON | st.fixed_dictionaries(
    {"form": st.just(1), "machine": st.just(platform.node()), "folder": st.text(), "parts": JSON}
    | {"parts": st.dictionaries(st.sampled_from(["copy", "disk"]), JSON | PART, max_size=2)}
)


@given(FILES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_lies_in_the_file_it_is_links_or_nothing(tmp_path, content):
    (tmp_path / "links.json").write_text(json.dumps(content))
    found = links.kept(tmp_path)
    assert found is None or (found.table().height == len(found.links) and found.words() is not None)
