"""A web server on loopback that misbehaves on demand: a real socket, real HTTP, real drops."""

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server gives, and how it fails."""

    body: bytes
    drops: int = 0  # so many answers end halfway
    ranges: bool = True  # honours Range
    etag: str = '"v1"'
    corrupt: bool = False  # same length, other bytes
    codes: list[int] = field(default_factory=list)  # HTTP errors to give first
    shifted: bool = False  # answers a range with another one
    lengthless: bool = False  # gives no Content-Length
    seconds_per_block: float = 0.0
    asked: list[tuple[str, int]] = field(default_factory=list)  # Range header and status of every request

    def __enter__(self) -> "Site":
        handler = type("Handler", (_Handler,), {"site": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def url(self, name: str = "trips.csv") -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site, asked = self.site, self.headers.get("Range", "")
        if site.codes:
            code = site.codes.pop(0)
            site.asked.append((asked, code))
            self.send_error(code)
            return
        body = bytes(byte ^ 0xFF for byte in site.body) if site.corrupt else site.body
        start = self._start(asked)
        site.asked.append((asked, 206 if start else 200))
        if start > len(body) or (asked and start == len(body)):
            site.asked[-1] = (asked, 416)
            self.send_error(416)
            return
        self._head(start, len(body))
        self._send(body[start:])

    def _start(self, asked: str) -> int:
        changed = self.headers.get("If-Range", self.site.etag) != self.site.etag
        if not asked or not self.site.ranges or changed:
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _head(self, start: int, size: int) -> None:
        self.send_response(206 if start else 200)
        if start:
            shown = start + 1 if self.site.shifted else start
            self.send_header("Content-Range", f"bytes {shown}-{size - 1}/{size}")
        if not self.site.lengthless:
            self.send_header("Content-Length", str(size - start))
        if self.site.etag:
            self.send_header("ETag", self.site.etag)
        self.end_headers()

    def _send(self, body: bytes) -> None:
        if self.site.drops:
            self.site.drops -= 1
            body = body[: len(body) // 2]
        for place in range(0, len(body), 1 << 16):
            time.sleep(self.site.seconds_per_block)
            try:
                self.wfile.write(body[place : place + (1 << 16)])
            except OSError:  # the other side was killed: that is what the test is about
                return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: `Site.asked` remembers."""
