"""What a feature table says of itself: the target, the split, and the features in groups.

A recipe writes `features.parquet` and this specification beside it (`features.json`); training reads both and
so needs to know nothing about flights. This module does not compute any feature.

>>> spec = FeatureSpec(target="late", time="sched_dep", split="split", groups={"schedule": ("hour",)})
>>> spec.columns("schedule")
('hour',)
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from aifactory_lab import decoding
from aifactory_lab.aside import write_text
from aifactory_lab.errors import DataError

TABLE = "features.parquet"
SPEC = "features.json"


@dataclass(frozen=True)
class FeatureSpec:
    """Roles of the columns of a feature table.

    Attributes
    ----------
    target, time, split
        Column names: the 0/1 label (Int8), the instant at which the features are known (Datetime, UTC), and
        the temporal split ("train" or "test").
    groups
        Feature columns (Float32) by group; a model is trained on the union of some groups.
    leaks
        Groups that are known only after the decision, kept to show what a leak does.
    descriptions
        One line per feature, with its unit.
    """

    target: str
    time: str
    split: str
    groups: Mapping[str, tuple[str, ...]]
    leaks: tuple[str, ...] = ()
    descriptions: Mapping[str, str] = field(default_factory=dict)

    def columns(self, *groups: str) -> tuple[str, ...]:
        """Return the feature columns of these groups, or of every honest group if none is named.

        Raises
        ------
        DataError
            If there is no such group.
        """
        chosen = groups or tuple(name for name in self.groups if name not in self.leaks)
        if unknown := [name for name in chosen if name not in self.groups]:
            msg = f"no feature group {unknown[0]!r}; there are: {', '.join(self.groups)}"
            raise DataError(msg)
        return tuple(column for name in chosen for column in self.groups[name])

    def save(self, folder: Path) -> None:
        """Write `features.json` into a folder."""
        write_text(folder / SPEC, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `features.json` from a folder.

        Raises
        ------
        DataError
            If it is not there or is not a specification.
        """
        path = Path(folder) / SPEC
        try:
            return decoding.decode(cls, path.read_bytes())
        except (OSError, ValueError) as error:
            msg = f"{path} is not a feature specification ({error})"
            raise DataError(msg, mend="etl.run(recipe, raw, out=folder) writes one") from error
