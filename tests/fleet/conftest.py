"""A private, real Slurm for the tests that need one: started once, taken down at the end."""

import pytest

from aifactory_lab.fleet import private
from aifactory_lab.fleet.private import programs


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A plant of 4 nodes with 2 pretend GPUs each, and two projects that may claim 4 of them."""
    if missing := programs.missing():
        pytest.skip(f"no {', '.join(missing)} here: make system-deps brings them")
    folder = tmp_path_factory.mktemp("slurm")
    plant = private.up(folder, nodes=4, gpus_per_node=2, projects={"vision": 4, "nlp": 4}, pretend=True)
    yield plant
    assert set(private.down(folder).processes.values()) == {None}
