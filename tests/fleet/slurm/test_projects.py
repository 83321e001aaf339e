"""Projects as accounts and QOS in the books of a real Slurm."""

import getpass

import polars as pl
import pytest

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.slurm import projects
from tests.fleet import work
from tests.fleet.slurm.conftest import PATIENT, until


def test_a_project_is_made_changed_and_used(fleet, slurm, slurm_says):
    try:
        projects.make("speech", quota=1, share=3, conf=slurm.conf)
        projects.make("speech", quota=2, share=3, conf=slurm.conf)
        told = fleet.projects().row(by_predicate=pl.col("project") == "speech", named=True)
        assert (told["quota"], told["used"]) == (2, 0)
        assert fleet.submit(work.stay, 0.1, gpus=2, project="speech", priority="inference").result(PATIENT)[0]
        books = slurm_says("sacctmgr -nP show assoc account=speech format=user,share,qos,defaultqos").splitlines()
        assert books[0].startswith("|3|")
        assert set(books[1].split("|")[2].split(",")) == {"spare", "speech-quota"}
        assert books[1].startswith(f"{getpass.getuser()}|")
        assert books[1].endswith("|speech-quota")
    finally:
        until(lambda: not slurm_says("squeue -h").strip(), "the job does not leave")
        for line in ("account speech", "qos speech-quota"):
            slurm_says(f"sacctmgr -i delete {line}")


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("Vision", {"quota": 1}, "'Vision'"),
        ("vision", {"quota": -1}, "quota must be a whole number, at least 0; it is -1"),
        ("vision", {"quota": 1, "share": 0}, "share must be a whole number, at least 1; it is 0"),
        ("vision", {"quota": True}, "it is True"),
    ],
)
def test_what_makes_no_sense_is_refused(name, options, says):
    with pytest.raises(FleetError, match=r"projects\.make") as caught:
        projects.make(name, **options)
    assert says in caught.value.what


def test_who_is_unknown_is_refused_and_what_the_books_say_is_told(slurm, tmp_path):
    with pytest.raises(FleetError, match="no user 'nobody at all'"):
        projects.make("vision", quota=4, users=["nobody at all"], conf=slurm.conf)
    with pytest.raises(FleetError, match="do not take `add qos spare") as caught:
        projects.make("vision", quota=4, conf=tmp_path / "slurm.conf")
    assert "there is no configuration of Slurm at" in caught.value.what
