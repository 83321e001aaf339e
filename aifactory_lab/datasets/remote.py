"""Files that are fetched on demand: searched for first, then downloaded, never believed without their sha256.

A file is looked for under `$AIFACTORY_DATA` by its name, then in the cache, then on the network through pooch.
Where the publisher gives no checksum and none has been measured (`sha256=""`), the first download is trusted
and its sha256 pinned in the cache's `lock.json`; from then on that one is demanded. This module does not know
which files there are.

>>> file = RemoteFile("trace.csv", "https://example.org/trace.csv", 719_188, "2f1e…")
>>> file.trust
'sha256 2f1e…'
"""

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aifactory_lab.aside import write_text
from aifactory_lab.datasets import places
from aifactory_lab.datasets.download import Resumable
from aifactory_lab.errors import DataError
from aifactory_lab.workspace import file_hash

LOCK = "lock.json"
CACHE_FOLDER = "remote"


@dataclass(frozen=True)
class RemoteFile:
    """One file on the network.

    Attributes
    ----------
    name, url
        Its file name here, and where it comes from.
    bytes
        Its size; a file of another size is not looked at further. 0 if not known.
    sha256
        Its checksum; empty for trust on first use.
    """

    name: str
    url: str
    bytes: int = 0
    sha256: str = ""

    @property
    def trust(self) -> str:
        """Say in words what the file is checked against."""
        return f"sha256 {self.sha256}" if self.sha256 else "size; sha256 pinned on first download (trust on first use)"


def fetch(file: RemoteFile, folder: Path | None = None, *, progress: bool = True, pause: float = 0.5) -> Path:
    """Return the file's path, downloading it if it is nowhere here.

    Parameters
    ----------
    file
        What to get.
    folder
        Where a download goes; by default the cache (`places.cache`).
    progress
        Whether to draw a progress bar.
    pause
        Seconds to wait after the first dropped connection.

    Raises
    ------
    DataError
        If the network cannot be reached (the message says where to put the file by hand), or if what came is
        not what it should be; then nothing of it is kept.
    """
    home = folder or places.cache() / CACHE_FOLDER
    if (found := local(file, home)) is not None:
        return found
    target = home / file.name
    try:
        home.mkdir(parents=True, exist_ok=True)
        _download(file, target, Resumable(home / f".{file.name}.partial", pause=pause, progress=progress))
    except DataError as error:
        msg = f"{file.name}: {error.what}{_passed_over(file)}"
        raise DataError(msg, mend=error.mend or _by_hand(file, target)) from error
    except OSError as error:
        msg = f"{target} cannot be written: {error}"
        raise DataError(msg, mend=f"export {places.VARIABLE}=/a/folder/with/space") from error
    if not file.sha256:
        _pin(home, file.name, file_hash(target))
    return target


def local(file: RemoteFile, home: Path | None = None) -> Path | None:
    """Return the file if it is here already and whole: under `$AIFACTORY_DATA`, or in the cache."""
    home = home or places.cache() / CACHE_FOLDER
    expected = file.sha256 or _pins(home).get(file.name, "")
    for path in (*places.candidates(file.name), home / file.name):
        if not path.is_file() or (file.bytes and path.stat().st_size != file.bytes):
            continue
        if not expected or file_hash(path) == expected:
            return path
    return None


def _download(file: RemoteFile, target: Path, downloader: Resumable) -> None:
    import pooch

    home = target.parent
    expected = file.sha256 or _pins(home).get(file.name)
    target.unlink(missing_ok=True)  # what `local` did not believe
    pooch.get_logger().setLevel("WARNING")  # its progress lines would be in notebooks' outputs; we draw a bar
    try:
        pooch.retrieve(file.url, expected, fname=file.name, path=home, downloader=downloader)
    except ValueError as error:  # pooch's word for a wrong checksum; it has deleted the file
        msg = f"what {urlsplit(file.url).netloc} sent does not have the expected sha256 {expected}; nothing was kept"
        mend = "" if file.sha256 else f"if the publisher has changed the file, delete {file.name} from {home / LOCK}"
        raise DataError(msg, mend=mend) from error
    if file.bytes and not file.sha256 and (found := target.stat().st_size) != file.bytes:
        target.unlink()
        msg = f"expected {file.bytes:,} bytes, found {found:,}; nothing was kept"
        raise DataError(msg)


def _pins(home: Path) -> dict[str, str]:
    try:
        pins: dict[str, str] = json.loads((home / LOCK).read_text())
    except (OSError, ValueError):
        return {}
    return pins


def _pin(home: Path, name: str, digest: str) -> None:
    """Note the sha256 of what was downloaded: demanded from now on where none was known."""
    write_text(home / LOCK, json.dumps({**_pins(home), name: digest}, indent=1, sort_keys=True))


def _passed_over(file: RemoteFile) -> str:
    """Name the files that were found under `$AIFACTORY_DATA` and not believed: somebody put them there by hand."""
    found = ", ".join(str(path) for path in places.candidates(file.name))
    return f"; not believed, for its content is another: {found}" if found else ""


def _by_hand(file: RemoteFile, target: Path) -> str:
    return f"download {file.url} on any machine and put it at {target} (or anywhere under ${places.VARIABLE})"
