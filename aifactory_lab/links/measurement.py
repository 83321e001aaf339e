"""All links of this machine, measured now or remembered: disk, memory, and those of its GPUs.

What was measured is kept in the folder as `links.json`, for it takes seconds; it belongs to this machine and to the
disk of that folder. Who needs a part of it measures only that part, once. How each is measured is its own module's
business.

>>> import tempfile
>>> found = measure(tempfile.mkdtemp(), parts=("disk", "copy"), size=4 << 20, passes=1)
>>> [link.name for link in found.links]
['disk_write', 'disk_read', 'memory_copy']
"""

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from aifactory_lab import device
from aifactory_lab.aside import write_text
from aifactory_lab.errors import WorkspaceError
from aifactory_lab.links import dimms, disk, gpus, memory, storage
from aifactory_lab.links.found import Links, Part
from aifactory_lab.links.link import Link

KEPT = "links.json"
FORM = 1  # of the file; another one is measured again
PASSES = 5


def measured(folder: Path | str, *, parts: Sequence[str] | None = None) -> Links:
    """Return the links as they were measured in this folder; what nobody measured yet is measured now.

    All is measured again where the file is torn or of another machine; the GPUs' links, where it knows fewer GPUs than
    are here now.

    Parameters
    ----------
    parts
        Of `PARTS`, by default all: ``"disk"``, ``"direct"`` (around the page cache), ``"copy"`` (memory, one thread),
        ``"stream"`` (memory, triad and all cores), ``"gpus"``.

    Raises
    ------
    WorkspaceError
        If the folder cannot be written.
    """
    found = kept(folder)
    if found is None:
        return measure(folder, parts=parts)
    have = [part for part in found.parts if part != "gpus" or found.gpus >= len(_gpus().gpus)]
    lacking = [part for part in _known(parts) if part not in have]
    return measure(folder, parts=lacking, beside=found) if lacking else found


def kept(folder: Path | str) -> Links | None:
    """Return what was measured in this folder on this machine, or None; nothing is measured."""
    try:
        told = json.loads((Path(folder) / KEPT).read_text())
        found = Links.from_dict(told) if told["form"] == FORM else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return found if found and found.machine == platform.node() else None


def measure(
    folder: Path | str,
    *,
    parts: Sequence[str] | None = None,
    size: int | None = None,
    passes: int = PASSES,
    beside: Links | None = None,
) -> Links:
    """Measure links now, all of them in about four seconds without a GPU, and keep the result in the folder.

    Parameters
    ----------
    folder
        Whose disk is measured; 64 MiB are written there for a moment.
    parts
        See `measured`.
    size
        Bytes to move, for all links alike; by default as many as each needs to be measured well.
    passes
        How often each; the table gives their median, the slowest and the fastest.
    beside
        An earlier measurement, whose other parts are kept.

    Raises
    ------
    WorkspaceError
        If the folder cannot be written.
    """
    chosen, how = _known(parts), {"passes": passes} | ({} if size is None else {"size": size})
    try:
        found = {part: PARTS[part](Path(folder), how) for part in chosen}
    except OSError as error:
        msg = f"{folder} cannot be measured: {error}"
        raise WorkspaceError(msg, mend="choose another folder: aifactory links --workspace DIR") from error
    date = datetime.now(UTC).isoformat(timespec="seconds")
    known = dict(beside.parts if beside else {}) | {part: replace(one, date=date) for part, one in found.items()}
    made = Links(platform.node(), str(folder), {part: known[part] for part in PARTS if part in known})
    write_text(Path(folder) / KEPT, json.dumps({"form": FORM, **made.to_dict()}, indent=1))
    return made


def _known(parts: Sequence[str] | None) -> list[str]:
    """Return the parts in the order of the table."""
    if strangers := set(parts or ()) - set(PARTS):
        msg = f"no part {min(strangers)!r} of a machine's links; there are: {', '.join(PARTS)}"
        raise WorkspaceError(msg, mend='links.measure(folder, parts=("disk", "copy"))')
    return [part for part in PARTS if parts is None or part in parts]


def _gpus() -> device.Device:
    return device.current(needs=())


def _disk(links: Sequence[Link], folder: Path) -> Part:
    below = storage.under(folder)
    return Part(tuple(link.against(below.promise, below.reason) for link in links))


def _memory(links: Sequence[Link]) -> Part:
    promise, reason = dimms.promise()
    return Part(tuple(link.against(promise, reason) for link in links))


How = dict[str, int]  # size, passes
PARTS: dict[str, Callable[[Path, How], Part]] = {
    "disk": lambda folder, how: _disk(disk.through(folder, **how), folder),
    "direct": lambda folder, how: _disk(disk.around(folder, **how), folder),
    "copy": lambda _, how: _memory([memory.copy(**how)]),
    "stream": lambda _, how: _memory(memory.stream(**how)),
    "gpus": lambda _, how: gpus.measure(_gpus(), **how),
}
