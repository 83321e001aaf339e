"""Where data lies: the vendored tables, your data folder, the cache.

`$AIFACTORY_DATA` names a folder that is searched before the network is asked and, if it can be written, holds
what was downloaded or made. A read-only store (a lab's shared disk) is searched and left alone. This module
does not know which files there should be.

>>> sorted(path.name for path in vendored("flights").glob("*s.parquet"))
['airlines.parquet', 'airports.parquet', 'flights.parquet', 'planes.parquet']
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from aifactory_lab.errors import DataError

VARIABLE = "AIFACTORY_DATA"
PACKAGE = Path(__file__).parents[1]
# In a wheel the tables travel inside the package. In a checkout they lie beside it; the wheel's place is asked
# first, because beside an installed package `datasets` may be somebody else's.
HOMES = (PACKAGE / "_vendored", PACKAGE.parent / "datasets")


def vendored(name: str) -> Path:
    """Return the folder of a dataset that came with this package.

    Raises
    ------
    DataError
        If it is not there, which means a damaged installation.
    """
    for home in HOMES:
        if (home / name / "README.md").is_file():
            return home / name
    msg = f"the vendored dataset {name!r} is not in {' or '.join(map(str, HOMES))}"
    raise DataError(msg, mend="pip install --force-reinstall aifactory-lab")


def searched() -> Path | None:
    """Return the folder named by `$AIFACTORY_DATA`, if there is one.

    Raises
    ------
    DataError
        If the variable names something that is not a folder.
    """
    named = os.environ.get(VARIABLE, "")
    if not named:
        return None
    folder = Path(named).expanduser()
    if folder.exists() and not folder.is_dir():
        msg = f"${VARIABLE} is {folder}, which is a file, not a folder"
        raise DataError(msg, mend=f"export {VARIABLE}=~/data")
    return folder


def cache() -> Path:
    """Return the folder for what is downloaded or made: `$AIFACTORY_DATA` if writable, else the platform's cache."""
    folder = searched()
    if folder is not None and _writable(folder):
        return folder
    import pooch

    return Path(pooch.os_cache("aifactory_lab"))


def candidates(name: str) -> Iterator[Path]:
    """Yield files of this name anywhere under `$AIFACTORY_DATA`, in sorted order."""
    folder = searched()
    if folder is not None and folder.is_dir():
        yield from sorted(path for path in folder.rglob(name) if path.is_file())


def _writable(folder: Path) -> bool:
    """Look at the mode bits too: to root, every folder looks writable, a shared read-only store as well."""
    if not folder.exists():
        try:
            folder.mkdir(parents=True)
        except OSError:
            return False
    return os.access(folder, os.W_OK) and bool(folder.stat().st_mode & stat.S_IWUSR)
