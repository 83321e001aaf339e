"""A downloader for pooch that carries on where a dropped connection left off.

Bytes go to a `.partial` file that outlives drops and kills, with a note of which version of the file they belong
to (ETag, size). The next request asks for the rest (HTTP Range, RFC 9110 §14) on condition that the version
is still the same; a server that ignores the condition or the range sends the whole file, and the partial one
is begun again. Whether the bytes are the right ones is not decided here but by pooch, by sha256.

>>> Resumable(Path("/tmp/.trips.parquet.partial")).attempts
5
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aifactory_lab.aside import write_text
from aifactory_lab.errors import DataError

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 15  # what a drop can lose: requests gives a block only when it is full
TIMEOUT = (10, 60)  # seconds to connect, and between two blocks
BUSY = 429
SERVER_ERROR = 500
PARTIAL_CONTENT = 206
RANGE_NOT_SATISFIABLE = 416


class Dropped(Exception):  # noqa: N818 - an event to try again after, not an error that users see
    """The transfer ended before the file did; trying again may help."""


@dataclass(frozen=True)
class Resumable:
    """Called by pooch with a URL and the file to write.

    Attributes
    ----------
    partial
        Where bytes gather until the file is whole.
    attempts
        How often to connect in one call; the next call carries on from what this one got.
    pause
        Seconds to wait after the first drop; doubled after each.
    progress
        Whether to draw a progress bar.
    """

    partial: Path
    attempts: int = 5
    pause: float = 0.5
    progress: bool = True

    def __call__(self, url: str, output_file: str | Path, _pooch: Any = None) -> None:
        """Download `url` to `output_file`.

        Raises
        ------
        DataError
            If the server refuses, or the connection failed or dropped at every attempt.
        """
        import requests

        reason: Exception = Dropped("no attempt was made")
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(self.pause * 2 ** (attempt - 1))
            try:
                self._carry_on(url)
            except (Dropped, requests.RequestException) as error:
                reason = error
            else:
                self._note.unlink(missing_ok=True)
                self.partial.replace(output_file)
                return
        msg = f"{urlsplit(url).netloc} did not give the whole file in {self.attempts} attempts ({_short(reason)})"
        raise DataError(msg)

    @property
    def _note(self) -> Path:
        return self.partial.with_name(f"{self.partial.name}.json")

    def _carry_on(self, url: str) -> None:
        """Make one request, for the whole file or for the rest of it."""
        import requests

        version = self._version(url)
        have = self.partial.stat().st_size if version else 0
        headers = {"Accept-Encoding": "identity"}  # else ranges would count compressed bytes
        if have:
            headers |= {"Range": f"bytes={have}-"} | _condition(version)
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            self._refuse(response)
            resumed = response.status_code == PARTIAL_CONTENT and _fits(response, have, version)
            if response.status_code == PARTIAL_CONTENT and not resumed:
                self._forget()
                msg = "the server sent another part than was asked for"
                raise Dropped(msg)
            start = have if resumed else 0
            total = start + int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
            note = {"url": url, "etag": response.headers.get("ETag", ""), "total": total}
            write_text(self._note, json.dumps(note))
            self._receive(response, start, total)

    def _receive(self, response: "requests.Response", start: int, total: int | None) -> None:
        from tqdm.auto import tqdm

        name = self.partial.name.strip(".").removesuffix(".partial")
        mode = "ab" if start else "wb"
        with (
            self.partial.open(mode) as stream,
            tqdm(total=total, initial=start, desc=name, unit="B", unit_scale=True, disable=not self.progress) as bar,
        ):
            for block in response.iter_content(BLOCK):
                stream.write(block)
                bar.update(len(block))
        got = self.partial.stat().st_size
        if total is not None and got != total:
            if got > total:
                self._forget()
            msg = f"{got:,} of {total:,} bytes"
            raise Dropped(msg)

    def _refuse(self, response: "requests.Response") -> None:
        """Sort the server's answer: carry on, try again, or give up."""
        code = response.status_code
        if code == RANGE_NOT_SATISFIABLE:
            self._forget()
        if code in (BUSY, RANGE_NOT_SATISFIABLE) or code >= SERVER_ERROR:
            msg = f"HTTP {code} {response.reason}"
            raise Dropped(msg)
        if not response.ok:
            msg = f"{response.url} answered HTTP {code} {response.reason}"
            raise DataError(msg)

    def _version(self, url: str) -> dict[str, Any]:
        """Return the note on the partial file, or nothing if there is no partial file of this URL."""
        try:
            note: dict[str, Any] = json.loads(self._note.read_text())
            if note["url"] == url and self.partial.exists():
                return note
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return {}

    def _forget(self) -> None:
        self.partial.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def _condition(version: dict[str, Any]) -> dict[str, str]:
    """Ask for the rest only if the version is the same; weak ETags cannot say so (RFC 9110 §13.1.5)."""
    etag = str(version["etag"])
    return {"If-Range": etag} if etag and not etag.startswith("W/") else {}


def _fits(response: "requests.Response", have: int, version: dict[str, Any]) -> bool:
    """Tell whether a partial answer continues the very bytes that are here."""
    place, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    same_size = version["total"] is None or total in ("*", str(version["total"]))
    same_etag = response.headers.get("ETag", version["etag"]) == version["etag"]
    return place.startswith(f"{have}-") and same_size and same_etag


def _short(error: Exception) -> str:
    """Return the innermost reason: requests wraps urllib3, which wraps the socket."""
    text = str(error).rsplit("Caused by ", 1)[-1].strip("()")
    return text.splitlines()[0][:200] if text else type(error).__name__
