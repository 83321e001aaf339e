"""Simulated GPUs for processes of their own."""

import pytest

from tests.links.drivers import Simulated, build


@pytest.fixture(scope="session")
def drivers(tmp_path_factory):
    """A folder with both drivers."""
    return build(tmp_path_factory.mktemp("drivers"))


@pytest.fixture
def simulate(drivers, tmp_path):
    """Make so many GPUs: ``simulate(2)``."""
    return lambda gpus: Simulated(drivers, tmp_path, gpus)
