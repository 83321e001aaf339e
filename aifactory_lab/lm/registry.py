"""The registry of language models: checkpoints and the adapters over them, one line of versions.

A version is a checkpoint folder or an adapter folder, in the same MLflow file as the other models of the workspace; how
versions are kept, `train.versions` says. An adapter is taken only if its base is a version too, so that whoever serves
it finds what it belongs to. This module does not train and does not serve.

>>> registry = Registry("workspace", name="tokens")
>>> registry.uri.endswith("workspace/mlflow.db")
True
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from aifactory_lab.aside import passing
from aifactory_lab.errors import ModelError
from aifactory_lab.lm import adapters, checkpoint
from aifactory_lab.lm.model_card import model_card, number
from aifactory_lab.train.versions import Versions

ADAPTER, CHECKPOINT = "adapter", "checkpoint"
READ = "*.parquet"  # what lies beside the sealed files and is worth keeping: history, answers
SHOWN = ("bits_per_byte", "loss", "overlap")  # metrics with a column of their own


@dataclass(frozen=True)
class Held:
    """What a version holds.

    Attributes
    ----------
    kind
        ``"checkpoint"`` or ``"adapter"``.
    folder
        The files, verified.
    sha256
        Hash of the weights.
    base_sha256
        Of an adapter: hash of the weights that it belongs to; else empty.
    """

    kind: str
    folder: Path
    sha256: str
    base_sha256: str
    card: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path | str) -> "Held":
        """Read and verify a checkpoint's or an adapter's folder.

        Raises
        ------
        ModelError
            If it is neither, or a file was changed.
        """
        folder = Path(folder)
        if (folder / adapters.CONFIG).exists():
            found = adapters.Adapter.load(folder)
            return cls(ADAPTER, folder, found.sha256, found.base_sha256, found.card)
        card = checkpoint.verify(folder)
        return cls(CHECKPOINT, folder, str(card["sha256"][checkpoint.WEIGHTS]), "", card)

    @property
    def title(self) -> str:
        """What its card calls it."""
        return str(self.card.get("title") or self.card.get("name") or self.folder.name)


class Registry(Versions[Held]):
    """Versions of one language model, base and adapters, under a folder.

    `versions()` tells of each its kind, its title, the version that an adapter lies over as `base`, `bits_per_byte`,
    `loss` and `overlap` where they were measured, and the hash of its weights.

    Parameters
    ----------
    root
        The workspace; holds `mlflow.db` and `mlflow-artifacts/`. It may be moved: versions are found relative to it.
    name
        What the model is registered as.
    """

    ARTIFACT = "model"
    SEAL = "files_sha256"
    MEND = "registry.promote(registry.register(folder))"
    COLUMNS: ClassVar[Mapping[str, pl.DataType | type[pl.DataType]]] = {
        "kind": pl.String,
        "title": pl.String,
        "base": pl.Int64,
        **dict.fromkeys(SHOWN, pl.Float64),
        "weights_sha256": pl.String,
    }

    def __init__(self, root: Path | str, name: str = "tokens") -> None:
        super().__init__(root, name)

    def _open(self, folder: Path) -> Held:
        return Held.load(folder)

    def _told(self, tags: Mapping[str, str]) -> dict[str, Any]:
        words = {name: tags[name] for name in ("kind", "title", "weights_sha256")}
        base = {"base": int(tags["base_version"]) if "base_version" in tags else None}
        return words | base | {name: _float(tags.get(f"metric.{name}")) for name in SHOWN}

    def register(
        self,
        folder: Path | str,
        *,
        metrics: Mapping[str, float] | None = None,
        lineage: Mapping[str, Any] | None = None,
    ) -> int:
        """Make a checkpoint or an adapter a version.

        Parameters
        ----------
        folder
            Of `lm.pretrain.run`, `lm.finetune.run`, `lm.adapters.merge` or `lm.pretrained.smollm2().checkpoint()`; it
            says itself which kind it is. Its card's metrics and lineage are recorded.
        metrics, lineage
            More of both, for what the card does not know.

        Returns
        -------
        int
            The version; it is not champion until it is promoted.

        Raises
        ------
        ModelError
            If the folder is damaged, or it is an adapter whose base is not a version.
        """
        held = Held.load(folder)
        tags = {"kind": held.kind, "title": held.title, "weights_sha256": held.sha256}
        tags["lineage"] = json.dumps(dict(lineage or {}))
        if held.kind == ADAPTER:
            tags |= {"base_version": str(self._base_of(held)), "base_sha256": held.base_sha256}
        numbers = _numbers({**held.card.get("metrics", {}), **(metrics or {})})
        tags |= {f"metric.{name}": str(value) for name, value in numbers.items()}
        params = {name: value for name, value in held.card.get("lineage", {}).items() if _is_param(value)}
        with _staged(held.folder, self.root) as staged:
            return self._record(staged, held.title, tags, {name: [(0, v)] for name, v in numbers.items()}, params)

    def folder(self, version: int) -> Path:
        """Return the folder of a version, with every file as it was registered.

        Raises
        ------
        ModelError
            If there is no such version, or a file changed since.
        """
        return self.open(version).folder

    def base(self, version: int) -> int | None:
        """Return the version that an adapter lies over; `None` for a checkpoint.

        Raises
        ------
        ModelError
            If there is no such version.
        """
        found = self._version(version).tags.get("base_version")
        return int(found) if found else None

    def lineage(self, version: int) -> dict[str, Any]:
        """Return where a version comes from: run, hashes, what it was trained on, and its base's version."""
        found, held = self._version(version), self.open(version)
        own = {"version": version, "run_id": found.run_id, "kind": held.kind, "weights_sha256": held.sha256}
        if held.kind == ADAPTER:
            own["base"] = {"version": self.base(version), **held.card["base"]}
        return {**own, **held.card.get("lineage", {}), **json.loads(found.tags["lineage"])}

    def model_card(self, version: int) -> str:
        """Return the model card of a version as Markdown."""
        return model_card(self.open(version).card, title=f"{self.name}, version {version}")

    def _base_of(self, held: Held) -> int:
        same = self.versions().filter(kind=CHECKPOINT, weights_sha256=held.base_sha256)["version"]
        if same.is_empty():
            base = held.card["base"]
            msg = f"the base of {held.folder}, {base['name']} ({held.base_sha256[:12]}…), is no version of {self.name}"
            raise ModelError(msg, mend="registry.register(base_folder) first")
        return int(same[0])


@contextmanager
def _staged(folder: Path, root: Path) -> Iterator[Path]:
    """Yield a folder of the sealed files and the tables alone: a training's state and log stay where they are."""
    card = json.loads((folder / checkpoint.CARD).read_text())
    names = [*card["sha256"], checkpoint.CARD, *(path.name for path in folder.glob(READ))]
    with passing(root, "staged") as aside:
        for name in names:
            (aside / name).symlink_to((folder / name).absolute())  # MLflow copies what they lead to
        yield aside


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    found = {name: number(value) for name, value in metrics.items()}
    return {name: value for name, value in found.items() if value is not None}


def _is_param(value: Any) -> bool:
    return isinstance(value, str | int | float | bool) or value is None


def _float(text: str | None) -> float | None:
    return None if text is None else float(text)
