"""What is whole of a recording on disk, and what is missing, in words.

A finished file counts before the parts it was made of; of parts, the larger before those that it was merged from.
This module does not read rows.

>>> clock(1795528930.0)
'24 Nov 2026 14:02:10 UTC'
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.recordings.chunks import Part, read
from aifactory_lab.telemetry.recordings.parts import places, samples_of

_NAME = re.compile(r"(\d+)-(\d+)\.parquet")
NOT_CLOSED = "it was not closed: if its kernel was killed, the last seconds are missing"


def find(path: Path | str) -> tuple[Path, list[Part], str]:
    """Find a recording by its name, its file or its folder.

    Returns
    -------
    path, parts, missing
        The file or folder, what can be read of it in order, and what is missing.

    Raises
    ------
    TelemetryError
        If there is none, or nothing of it can be read.
    """
    file, folder = places(path)
    damaged = ""
    if file.exists():
        try:
            part = read(file)
        except TelemetryError as error:
            if not folder.exists():
                raise
            damaged = f"{error.what}; its parts were read instead"
        else:
            return file, [part], gaps([part], part.numbers[1])
    if not folder.is_dir():
        msg = f"there is no recording {file}, nor a folder {folder.name} beside it"
        raise TelemetryError(msg, mend=f"telemetry.record(sampler, {str(path)!r})")
    found, last = _whole(folder)
    return folder, found, "; ".join(words for words in (damaged, gaps(found, last), NOT_CLOSED) if words)


def gaps(found: Iterable[Part], last: int) -> str:
    """Say which samples between 0 and `last` are missing, and when they were."""
    words, expected, when = list[str](), 0, 0.0
    for chunk in (chunk for part in found for chunk in part.chunks):
        if chunk.first > expected:
            words.append(f"samples {expected} to {chunk.first - 1} are missing, before {clock(chunk.start)}")
        expected, when = chunk.last + 1, chunk.stop
    if last >= expected:
        words.append(f"samples {expected} to {last} are missing, after {clock(when)}")
    return "; ".join(words)


def without_doubles(found: Iterable[Part]) -> list[Part]:
    """Return parts in order, without those whose samples a larger one holds too."""
    kept: list[Part] = []
    for part in sorted(found, key=lambda part: (part.numbers[0], -part.numbers[1])):
        if not kept or part.numbers[1] > kept[-1].numbers[1]:
            kept.append(part)
    return kept


def clock(time: float) -> str:
    """Return a time as people write it."""
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment.day} {moment:%b %Y %H:%M:%S} UTC"


def _whole(folder: Path) -> tuple[list[Part], int]:
    """Return the parts that can be read, and the number of the last sample that there ever was."""
    paths, found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)], list[Part]()
    for path in paths:
        try:
            found.append(read(path))
        except TelemetryError:  # its samples are named among the gaps, unless another part holds them
            continue
    if not found:
        damaged = f" ({len(paths)} damaged parts)" if paths else " yet: the first samples are written after seconds"
        msg = f"{folder} holds nothing that can be read{damaged}"
        raise TelemetryError(msg, mend="telemetry.record(sampler, …) again, or look for its files in a backup")
    return without_doubles(found), max(samples_of(path)[1] for path in paths)
