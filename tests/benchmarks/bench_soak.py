"""The short form of `make soak`: two minutes of both endpoints under mixed load; slopes need the hour."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.harness import Table
from tests.benchmarks.soak.hours import soak

SECONDS = 120.0


def main(*, quick: bool) -> Iterator[Table]:
    """Soak both endpoints for a short while."""
    with tempfile.TemporaryDirectory() as name:
        yield from soak(SECONDS / 6 if quick else SECONDS, Path(name))
