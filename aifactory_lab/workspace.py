"""A run folder: artefacts by content, and a ledger of what each station reported.

An artefact is a folder named by its station and by a hash of everything that went into it, so the same
inputs find it again and changed inputs never do. It is written aside and renamed when whole; its manifest
holds the size and sha256 of every file. What was half written, or changed since, is not believed. The
workspace does not know what the stations make.

>>> import tempfile
>>> from aifactory_lab.measure import Meter
>>> workspace = Workspace(tempfile.mkdtemp())
>>> def build(folder):
...     with Meter("hello", unit="words") as meter:
...         (folder / "hello.txt").write_text("hello")
...         meter.count(1)
...     return meter.report
>>> workspace.station("hello", build).reused, workspace.station("hello", build).reused
(False, True)
"""

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from aifactory_lab.aside import sweep, write_text
from aifactory_lab.errors import WorkspaceError
from aifactory_lab.measure import StationReport
from aifactory_lab.telemetry import journal

VARIABLE = "AIFACTORY_WORKSPACE"
CACHE_VARIABLE = "AIFACTORY_CACHE"
CACHE = "~/.cache/aifactory_lab"
MANIFEST = "manifest.json"
LEDGER = "ledger.jsonl"
SCRATCH = ".scratch-"
KEPT_DAYS = 30.0  # of the checkpoints of an artefact that was never finished
STATIONS = ("datasets", "etl", "train", "lm", "serve")


@dataclass(frozen=True)
class Artefact:
    """A finished station's folder, its content key and its report."""

    folder: Path
    key: str
    report: StationReport
    reused: bool

    def path(self, name: str) -> Path:
        """Return one file of the artefact.

        Raises
        ------
        WorkspaceError
            If the artefact has no such file; the message lists those it has.
        """
        path = self.folder / name
        if not path.exists():
            held = ", ".join(sorted(p.name for p in self.folder.iterdir()))
            msg = f"{self.folder.name} has no {name!r}; it holds {held}"
            raise WorkspaceError(msg)
        return path


class Workspace:
    """Artefacts and ledger under one folder.

    Parameters
    ----------
    root
        The folder; made if it is not there. By default `default_root()`.
    """

    def __init__(self, root: Path | str | None = None) -> None:
        self.root = Path(root) if root is not None else default_root()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"the workspace {self.root} cannot be made: {error}"
            raise WorkspaceError(msg, mend="aifactory run --workspace SOME_FOLDER") from error
        with suppress(OSError):  # a folder that can only be read may still be looked at
            sweep(self.root)
            _forget(self.root)

    def station(
        self,
        name: str,
        build: Callable[[Path], StationReport],
        *,
        inputs: Sequence[str | Path] = (),
        params: Mapping[str, Any] | None = None,
    ) -> Artefact:
        """Return the artefact for these inputs and params, building it if it is not here whole.

        Parameters
        ----------
        name
            The station; the artefact is the folder ``<name>-<key>``.
        build
            Called with an empty folder to fill; returns the StationReport.
        inputs
            Keys of earlier artefacts, or paths whose content counts.
        params
            What else decides the result; JSON values.
        """
        key = content_key(name, inputs, params or {})
        folder = self.root / f"{name}-{key}"
        # into the journal, so that a dashboard in another process sees the work
        with journal.into(self.root / journal.FILE), _writing(folder):
            if (kept := self._whole(folder)) is not None:
                artefact = Artefact(folder, key, replace(kept, reused=True), reused=True)
                journal.publish(_reused(kept))
            else:
                artefact = Artefact(folder, key, self._build(folder, build), reused=False)
            shutil.rmtree(self.root / f"{SCRATCH}{folder.name}", ignore_errors=True)  # it has done its work
            self._record(artefact)
        return artefact

    def ledger(self) -> list[dict[str, Any]]:
        """Return every visit to every station, oldest first; a line torn by a kill, or not ours, is passed over."""
        path = self.root / LEDGER
        return list(_whole_lines(path)) if path.exists() else []

    def _whole(self, folder: Path) -> StationReport | None:
        """Return the report if the folder is complete and unchanged; else move it out of the way."""
        if not folder.exists():
            return None
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            if all(_same(folder / name, entry) for name, entry in manifest["files"].items()):
                return StationReport.from_dict(manifest["report"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass  # unreadable counts as damaged, below
        aside = folder.with_name(f"{folder.name}.damaged-{time.time_ns()}")
        folder.rename(aside)
        return None

    def _build(self, folder: Path, build: Callable[[Path], StationReport]) -> StationReport:
        aside = folder.with_name(f".{folder.name}.partial-{time.time_ns()}-{os.getpid()}")
        aside.mkdir()
        try:
            report = build(aside)
            files = {str(p.relative_to(aside)): _entry(p) for p in sorted(aside.rglob("*")) if p.is_file()}
            write_text(aside / MANIFEST, json.dumps({"report": report.to_dict(), "files": files}, indent=1))
            if folder.exists():  # another run finished the same artefact first: same key, same content
                return report
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return report

    def _record(self, artefact: Artefact) -> None:
        line = {"time": time.time(), "artefact": artefact.folder.name, **artefact.report.to_dict()}
        with (self.root / LEDGER).open("a+b") as stream:
            if stream.tell() and not _ends_line(stream):
                stream.write(b"\n")  # the last writer was killed in its line: keep ours readable
            stream.write(json.dumps(line).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())


def scratch(folder: Path) -> Path:
    """Return a folder for checkpoints of the artefact that is being built in `folder`.

    It outlives a kill: whoever builds the same artefact again finds it. When the artefact is whole, it goes.
    """
    found = folder.with_name(f"{SCRATCH}{folder.name.removeprefix('.').partition('.partial-')[0]}")
    found.mkdir(parents=True, exist_ok=True)
    return found


def default_root() -> Path:
    """Return `AIFACTORY_WORKSPACE`, else `workspace/` in the checkout, else in the current folder.

    In a checkout the command line and the lessons thus share one workspace, wherever they are started.
    """
    if asked := os.environ.get(VARIABLE):
        return Path(asked)
    checkout = Path(__file__).parents[1]
    return (checkout if (checkout / "pyproject.toml").exists() else Path.cwd()) / "workspace"


def cache_folder() -> Path:
    """Return the folder for what can be made again: converted models and measurements (`AIFACTORY_CACHE`)."""
    return Path(os.environ.get(CACHE_VARIABLE, CACHE)).expanduser()


def content_key(name: str, inputs: Sequence[str | Path], params: Mapping[str, Any]) -> str:
    """Return 12 hex digits that change when an input, a param or the code of the stations does."""
    parts = [files_hash([item]) if isinstance(item, Path) else item for item in inputs]
    text = json.dumps([name, code_hash(), parts, params], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@cache
def code_hash() -> str:
    """Return the hash of the stations' own source: whoever edits a recipe gets fresh features, not old ones."""
    package = Path(__file__).parent
    return files_hash([path for room in STATIONS for path in sorted((package / room).rglob("*.py"))])


def file_hash(path: Path | str) -> str:
    """Return the sha256 of a file, read in blocks."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files_hash(paths: Sequence[Path | str]) -> str:
    """Return one sha256 over the names and contents of files, folders included, in sorted order."""
    found = sorted(q for p in map(Path, paths) for q in (p.rglob("*") if p.is_dir() else [p]) if q.is_file())
    lines = [f"{path.name} {file_hash(path)}" for path in found]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say what could not be written, and what would help."""
    try:
        yield
    except OSError as error:
        msg = f"station {folder.name} could not write: {error}"
        mend = f"free space on {folder.parent}, then run again: finished stations are kept"
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            mend = "aifactory run --workspace A_FOLDER_THAT_CAN_BE_WRITTEN"
        raise WorkspaceError(msg, mend=mend) from error


def _forget(root: Path) -> None:
    """Remove checkpoints that nobody came back to: of other settings, or of code that has changed since."""
    for found in root.glob(f"{SCRATCH}*"):
        latest = max(path.stat().st_mtime for path in (found, *found.iterdir()))
        if latest < time.time() - KEPT_DAYS * 86_400:
            shutil.rmtree(found, ignore_errors=True)


def _reused(report: StationReport) -> journal.Event:
    event = journal.Event("reused", report.station, journal.new_run(), report.unit, made=report.made)
    return replace(event, seconds=report.seconds, joules=report.joules)


def _entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_hash(path)}


def _same(path: Path, entry: Mapping[str, Any]) -> bool:
    return bool(path.stat().st_size == entry["bytes"] and file_hash(path) == entry["sha256"])


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(errors="replace").splitlines():
        with suppress(ValueError):
            if isinstance(found := json.loads(line), dict):
                yield found


def _ends_line(stream: BinaryIO) -> bool:
    stream.seek(-1, os.SEEK_END)
    return bool(stream.read(1) == b"\n")
