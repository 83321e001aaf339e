r"""The model that serves, and where its successor comes from.

A source says which folder holds the champion: the folder itself, a text file with the folder's path in it, or
a function that returns the path (a registry's alias, for example). A champion is loaded whole before it
replaces the old one; a folder that is damaged never does.

>>> import pathlib, tempfile
>>> pointer = pathlib.Path(tempfile.mkdtemp()) / "champion"
>>> _ = pointer.write_text("models/7\n")
>>> find(pointer) == pointer.parent / "models/7"
True
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np

from aifactory_lab.errors import ModelError
from aifactory_lab.serve.calibration import probe_rows
from aifactory_lab.serve.predictor import Predictor
from aifactory_lab.serve.schemas import RowSchema
from aifactory_lab.train.bundle import MANIFEST, Bundle
from aifactory_lab.workspace import file_hash

LONGEST = 4_096  # bytes of a path (Linux's PATH_MAX)
Source: TypeAlias = Path | str | Callable[[], Path | str]


@dataclass(frozen=True)
class Champion:
    """A model that is ready to serve: its predictor, what a row must look like, and its version."""

    predictor: Predictor
    schema: RowSchema
    version: str

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What every answer of this model says of it."""
        return ((b"x-model-version", self.version.encode()),)

    @classmethod
    def load(cls, folder: Path | str, *, threads: int | None = None, engines: Sequence[str] = ()) -> Self:
        """Load a model folder and prove that it answers.

        Raises
        ------
        ModelError
            If the folder is not a model of ours or is damaged.
        """
        bundle = Bundle.load(folder)
        predictor = Predictor.load(bundle, threads=threads, engines=engines)
        if not np.isfinite(predictor(probe_rows(bundle, 8))).all():
            msg = f"{folder} gives no probabilities for rows in the ranges of its training"
            raise ModelError(msg, mend="train again, or take an earlier version from the registry")
        schema = RowSchema(bundle.features, takes_missing=predictor.takes_missing)
        return cls(predictor, schema, file_hash(bundle.folder / MANIFEST)[:12])

    def describe(self) -> dict[str, Any]:
        """Return what `/model` says."""
        bundle = self.predictor.bundle
        return {
            "name": bundle.estimator,
            "version": self.version,
            "kind": bundle.kind,
            "target": bundle.target,
            "threshold": bundle.threshold,
            "takes_missing": self.predictor.takes_missing,
            "features": [vars(feature) for feature in bundle.features],
            "metrics": dict(bundle.metrics),
            "engines": [vars(choice) for choice in self.predictor.choices],
            "left_out": dict(self.predictor.calibration.left_out),
        }


def find(source: Source) -> Path:
    """Return the folder of the champion now.

    Raises
    ------
    ModelError
        If the source names nothing.
    """
    place = Path(source() if callable(source) else source)
    if not os.path.isfile(place):  # noqa: PTH113 - pathlib raises for a name that is too long
        return place
    with place.open("rb") as stream:
        words = stream.read(LONGEST + 1).decode(errors="replace").strip()
    if not words.isprintable() or not 0 < len(words) <= LONGEST:
        msg = f"{place} should hold the path of a model folder, found {words[:60]!r}"
        raise ModelError(msg, mend=f"echo path/to/model > {place}")
    return place.parent / words


def signature(source: Source) -> tuple[str, int, int]:
    """Return what changes when the source names another model: the folder and its manifest's identity."""
    folder = find(source)
    try:
        status = (folder / MANIFEST).stat()
    except OSError:
        return str(folder), 0, 0
    return str(folder), status.st_mtime_ns, status.st_ino
