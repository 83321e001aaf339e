"""A connection that does not wait for ever: slow and endless requests are hung up upon.

uvicorn ends a connection that is idle between two requests, but waits without end for a first one, for the rest of a
head and for the rest of a body, and reads a head of any length. Here a request has 20 seconds and another one for
each 500 bytes that came, which is what Apache's mod_reqtimeout grants; its head has 64 KiB. A reader that the service
itself holds back is not hurried. This module does not know what is asked.

>>> allowed(0), allowed(50_000)
(20.0, 120.0)
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PATIENCE_SECONDS = 20.0  # https://httpd.apache.org/docs/2.4/mod/mod_reqtimeout.html: header=20-40,MinRate=500
BYTES_PER_SECOND = 500
MERCY_SECONDS = 1.0  # what came while this process stood still is read first
MOST_HEAD_BYTES = 64 << 10


def allowed(received: int) -> float:
    """Return the seconds that a request may take of which so many bytes have come."""
    return PATIENCE_SECONDS + received / BYTES_PER_SECOND


class Connection(HttpToolsProtocol):
    """uvicorn's HTTP connection with an end to its patience; one timer a connection, not one a request."""

    _since: float | None = None  # when the request began that is not whole yet
    _timer: asyncio.TimerHandle | None = None
    _received = _head = 0
    _headed = False

    def connection_made(self, transport: Any) -> None:
        """Await a first request."""
        super().connection_made(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and hang up on a head that does not end."""
        self._received += len(data)
        super().data_received(data)
        if self._since is not None and not self._headed:
            self._head += len(data)
            if self._head > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response(f"the head of the request is larger than {MOST_HEAD_BYTES:,} bytes")

    def on_message_begin(self) -> None:
        """Start the clock of a request."""
        super().on_message_begin()
        self._await_request()

    def on_headers_complete(self) -> None:
        """Note that the head is whole."""
        self._headed = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock."""
        self._since = None
        super().on_message_complete()

    def _await_request(self) -> None:
        self._since, self._received, self._head, self._headed = self.loop.time(), 0, 0, False
        if self._timer is None:
            self._timer = self.loop.call_later(allowed(0), self._look)

    def _look(self, last: bool = False) -> None:
        """Hang up if the request has had its time; what the service itself holds back has time."""
        self._timer = None
        if self._since is None or self.transport.is_closing():
            return
        left = self._since + allowed(self._received) - self.loop.time()
        if left <= 0 and not self.flow.read_paused:
            if last:
                self.transport.close()
                return
            left = 0.0
        self._timer = self.loop.call_later(max(left, MERCY_SECONDS), self._look, left <= 0)
