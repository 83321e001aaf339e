"""A campaign of kills: a run that nobody disturbs beside runs that are killed, and what the two made and left.

Products are compared by content: bytes of models, tokens and tokenizers, rows of tables (whose order ETL does not
promise). What a run measures of itself (times, rates) is no product.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from aifactory_lab.line.turns import FILE as LOCK
from tests.survival import killing
from tests.survival.killing import Kill, Spoken

BYTES = ("*.ubj", "*.safetensors", "*.bin", "tokenizer.json")
TABLES = ("features", "drift", "columns", "coverage", "ladder", "documents", "dropped", "answers", "predictions")
KNOWN = (
    "aifactory_lab-",
    "torchinductor",
    ".ses",
)  # of the user's running programs, and of PyTorch, in the temporary folder


@dataclass
class Outcome:
    """What a killed run came to: which kills met which station, what differs, and what was left."""

    kills: list[tuple[Kill, str]] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def command(folder: Path, material: Path) -> list[str]:
    """Return the command of a thin run in a folder."""
    return killing.python("tests.survival.thin_run", folder / "ws", material)


def trial(folder: Path, material: Path, kills: list[Kill], expected: dict[str, str]) -> Outcome:
    """Run, kill, run again until all kills are spent, then to the end; compare and look for leftovers."""
    found = Outcome()
    for kill in kills:
        spoken = killing.run(command(folder, material), folder, kill)
        found.failures += _trouble(spoken, folder, killed=True)
        if spoken.code == 0:
            break  # it was through before its kill came
        found.kills.append((kill, spoken.last))
        found.left += [f"lives on: {words}" for words in killing.gone(folder)]
    spoken = killing.run(command(folder, material), folder)
    found.failures += _trouble(spoken, folder, killed=False)
    found.left += [f"lives on: {words}" for words in killing.gone(folder)] + list(leftovers(folder))
    made = products(folder / "ws")
    found.different = sorted(name for name in expected.keys() | made.keys() if expected.get(name) != made.get(name))
    return found


def products(workspace: Path) -> dict[str, str]:
    """Return a hash of the content of each product, by its place under the workspace."""
    found = {}
    for path in killing.files(workspace):
        name = path.relative_to(workspace)
        if name.parts[0].startswith((".", "mlflow")):
            continue  # versions are copies of what is compared
        if any(path.match(pattern) for pattern in BYTES):
            found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix == ".parquet" and path.stem in TABLES:
            frame = pl.read_parquet(path)
            found[str(name)] = hashlib.sha256(frame.sort(frame.columns).write_ndjson().encode()).hexdigest()
    return found


def leftovers(folder: Path) -> Iterator[str]:
    """Yield what a finished run should not have left: fragments, scratch, versions and runs too many, half reports."""
    workspace = folder / "ws"
    for path in workspace.rglob("*"):
        if (path.name.startswith(".") and path.name != LOCK) or "partial" in path.name or ".damaged-" in path.name:
            yield str(path.relative_to(folder))
    yield from (path.name for path in (folder / "tmp").iterdir() if not path.name.startswith(KNOWN))
    yield from _registry(workspace)
    if not (workspace / "report.html").read_text().rstrip().endswith("</html>"):
        yield "half a report.html"
    json.loads((workspace / "report.json").read_text())


def _registry(workspace: Path) -> Iterator[str]:
    """Yield what the registry holds besides one version of each of the three models."""
    with closing(sqlite3.connect(workspace / "mlflow.db")) as database:
        versions = {row[0] for row in database.execute("SELECT run_id FROM model_versions")}
        running = database.execute("SELECT run_uuid FROM runs WHERE status = 'RUNNING' AND lifecycle_stage = 'active'")
        yield from (f"unfinished run {row[0]}" for row in running)
        champions = database.execute("SELECT name FROM registered_model_aliases").fetchall()
    if len(versions) != 3 or len(champions) != 2:
        yield f"{len(versions)} versions, {len(champions)} champions"
    yield from (f"artifacts of no version {p.name}" for p in _folders(workspace / "mlflow-artifacts", versions))


def _folders(artifacts: Path, versions: set[str]) -> list[Path]:
    return [path for path in artifacts.iterdir() if path.name not in versions]


def _trouble(spoken: Spoken, folder: Path, *, killed: bool) -> list[str]:
    """Return how a run failed by itself; a run that is to be killed may also come through."""
    if spoken.code == 0 or (killed and spoken.code == -9):
        return []
    return [f"{folder.name} exit {spoken.code}: " + " | ".join(text for _, text in spoken.lines[-6:])]
