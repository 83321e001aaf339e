"""The stand-in for NVIDIA's driver, as a fixture: nothing of it is left when the test ends."""

import shutil

import pytest

from aifactory_lab.telemetry.nvml.source import NvmlSource
from tests.telemetry.driver import FakeDriver, unload
from tests.telemetry.gpus import Clock


@pytest.fixture
def make_driver(tmp_path):
    """Start drivers of any size; the last one started is the one that `pynvml` finds."""
    if not (shutil.which("gcc") or shutil.which("cc")):
        pytest.skip("no C compiler here to build the stand-in for NVIDIA's library (make system-deps brings gcc)")

    def start(gpus: int = 8) -> FakeDriver:
        driver = FakeDriver(tmp_path, gpus)
        driver.preload()
        return driver

    yield start
    unload()


@pytest.fixture
def driver(make_driver) -> FakeDriver:
    """Eight H100s at rest."""
    return make_driver(8)


@pytest.fixture
def clock() -> Clock:
    """A steady clock that the test moves."""
    return Clock()


@pytest.fixture
def source(driver, clock):
    """The GPUs of `driver`, on that clock."""
    with NvmlSource(clock=clock) as source:
        yield source
