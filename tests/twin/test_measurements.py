"""Measurements by others: found where they lie, downloaded where they can be, and named where they cannot."""

import hashlib
import io
import json
import zipfile
from dataclasses import replace

import pytest

from aifactory_lab.datasets import places
from aifactory_lab.datasets.remote import RemoteFile
from aifactory_lab.errors import DataError, TwinError
from aifactory_lab.twin import collectives, validation
from aifactory_lab.twin import measurements as measured
from aifactory_lab.twin.checks import Check
from tests.datasets.site import Site

SERVED = measured.FILES[0]


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """A data folder of its own, with nothing in it."""
    monkeypatch.setenv(places.VARIABLE, str(tmp_path))
    return tmp_path


def wheel(member: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(member, "system,silicon_tpot_ms\nx,1\n")
    return made.getvalue()


def offer(monkeypatch, site: Site) -> None:
    """Let the served models' measurements, alone, come from a site on loopback."""
    comes = RemoteFile("x.whl", site.url("x.whl"), len(site.body), hashlib.sha256(site.body).hexdigest())
    monkeypatch.setattr(measured, "FILES", (replace(SERVED, comes=comes),))


def test_one_file_of_the_archive_is_kept_and_not_downloaded_again(monkeypatch, empty):
    with Site(wheel(SERVED.member)) as site:
        offer(monkeypatch, site)
        for _ in range(2):
            table = measured.fetch(progress=False)
        assert len(site.asked) == 1
    assert measured.find(SERVED.name).read_text().startswith("system")
    assert table["path"].to_list() == [str(measured.find(SERVED.name))]
    assert not list(empty.rglob("*.whl"))


def test_an_archive_without_the_file_is_named(monkeypatch, empty):
    with Site(wheel("something/else.csv")) as site:
        offer(monkeypatch, site)
        with pytest.raises(DataError, match="does not hold aiconfigurator_core"):
            measured.fetch(progress=False)
    assert measured.local(SERVED.name) is None


def test_what_is_not_here_says_how_it_gets_here(empty):
    with pytest.raises(TwinError, match=r"silicon_sample\.csv is not here") as caught:
        measured.find("silicon_sample.csv")
    assert caught.value.mend == "aifactory twin measurements"
    with pytest.raises(TwinError, match=r"gpu_power_kalos\.csv is not here") as caught:
        measured.find("gpu_power_kalos.csv")
    assert caught.value.mend.startswith(f"export {places.VARIABLE}=")


def test_every_file_that_a_check_needs_is_listed_with_its_licence():
    needed = {name for check in validation.CHECKS for name in check.needs}
    assert needed <= {file.name for file in measured.FILES}
    assert all(file.licence for file in measured.FILES)


def test_a_check_without_its_measurements_is_not_computed_and_says_so(empty):
    check = Check("x", "1", "nobody", 1.0, lambda: 1.0, 0.1, needs=("gpu_power_kalos.csv",))
    assert "gpu_power_kalos.csv not here" in check.outcome().note
    (empty / "gpu_power_kalos.csv").touch()
    assert check.outcome().passed


def test_the_transfers_that_are_downloaded_are_those_that_were_fitted():
    fitted = json.loads(collectives.FITTED.read_text())["provenance"]["files"]
    offered = {file.name: file.comes.sha256 for file in measured.FILES if file.comes and not file.member}
    assert offered == fitted


def test_they_are_found_in_a_store(measurements):
    table = measured.table()
    assert table.filter(table["path"].is_null()).is_empty(), "the store should hold every one"
