"""What the catalogue's tests share: a workspace of their own, in which quick runs leave what later ones take up."""

from pathlib import Path

import pytest

from aifactory_lab import catalog

NOWHERE = Path("no/such/workspace")


@pytest.fixture(scope="session")
def workspace(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("catalogue")


@pytest.fixture
def quick(workspace, monkeypatch, tmp_path):
    """A function that runs an entry on a thin slice; what serves is stopped when the test ends."""
    monkeypatch.setenv("AIFACTORY_CACHE", str(workspace / "cache"))
    monkeypatch.setenv("AIFACTORY_FLEET", str(tmp_path / "fleet"))
    running = []

    def run(address: str, **options) -> catalog.Ran:
        running.append(catalog.run(address, workspace=workspace, quick=True, say=None, **options))
        return running[-1]

    yield run
    for ran in running:
        ran.stop()
