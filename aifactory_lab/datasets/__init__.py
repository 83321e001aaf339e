"""Raw material: the catalogue, its cards, and your own files.

>>> from aifactory_lab import datasets
>>> sorted(datasets.load("flights").paths)
['airlines', 'airports', 'flights', 'planes', 'weather']

A name of the catalogue opens that dataset; anything else is your own files: ``load("my/*.parquet")``.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from aifactory_lab.datasets import copies as _copies
from aifactory_lab.datasets import entries, files, places
from aifactory_lab.datasets.cards import Card, card
from aifactory_lab.datasets.description import describe
from aifactory_lab.datasets.entries import catalogue
from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.errors import DataError

__all__ = ["Card", "RawMaterial", "card", "catalogue", "describe", "load", "recording", "recordings"]


def load(
    source: files.Source | Mapping[str, files.Source], *, copies: int = 1, folder: Path | str | None = None
) -> RawMaterial:
    """Open a dataset of the catalogue, or your own files.

    Parameters
    ----------
    source
        A name of the catalogue (`catalogue` lists them); or a file, a folder, a glob, a list of these (one table),
        or a mapping of table names to these. Parquet, CSV (any common separator) and JSON lines are read. A
        folder that is called like a dataset is opened as ``"./flights"``.
    copies
        For ``"flights"``: so many years of flights and weather, made from the real ones by moving the year.
    folder
        Where to put what is made or downloaded; by default ``$AIFACTORY_DATA`` if it can be written, else the
        platform's cache.

    Raises
    ------
    DataError
        If there is no such dataset or file, if files are damaged or do not fit together, or if a download fails.

    Examples
    --------
    >>> load("flights")["weather"].collect().shape
    (26115, 15)
    """
    place = Path(folder) if folder else None
    count = _copies.check_count(copies)
    if count > 1 and source != entries.FLIGHTS.name:
        msg = f"copies={count}: only the dataset 'flights' can be copied, not {source!r}"
        raise DataError(msg, mend="datasets.load('flights', copies=30)")
    if not (isinstance(source, str) and _is_name(source)):
        return files.material(source)
    raw = entries.material(source, place)
    return _copies.multiply(raw, count, place or places.cache()) if count > 1 else raw


def recording(name: str) -> Path:
    """Return the file of a telemetry recording that came with this package, for `telemetry.Recording.open`.

    Parameters
    ----------
    name
        See `datasets/recordings/README.md`: what each shows, and whether it was measured or simulated.

    Raises
    ------
    DataError
        If there is none of this name; the message lists those there are.

    Examples
    --------
    >>> recording("eight_gpus").name
    'eight_gpus.parquet'
    """
    if name not in (known := recordings()):
        msg = f"no recording {name!r}; there are: {', '.join(known)}"
        raise DataError(msg, mend='datasets.recording("eight_gpus")')
    return places.vendored("recordings") / f"{name}.parquet"


def recordings() -> dict[str, str]:
    """Return the telemetry recordings by name: what each shows, and whether it was measured or simulated.

    Examples
    --------
    >>> recordings()["decision_line_3x"]
    'measured: The same on three copies of the records, 1 M flights.'
    """
    folder = places.vendored("recordings")
    rows = re.findall(
        r"^\| `(\w+)` \| \W*(\w+)[^|]* \| ([^|]*?\.)(?: [^|]*)?\|$", (folder / "README.md").read_text(), re.MULTILINE
    )
    shown = {name: f"{how}: {what}" for name, how, what in rows}
    return {path.stem: shown.get(path.stem, "") for path in sorted(folder.glob("*.parquet"))}


def _is_name(source: str) -> bool:
    """Tell a name from a path: a catalogue name, or a bare word that is nothing on disk."""
    bare = not any(character in source for character in "/\\*?[.") and not Path(source).suffix
    return source in entries.ENTRIES or (bare and not Path(source).exists())
