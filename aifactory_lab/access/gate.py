"""What is looked at before a request is heard: Host, Origin, Authorization.

On the loopback address a server is reached by every page that the user's browser shows. Such a page can send a POST to
it (hence Origin), and after rebinding its own name to 127.0.0.1 it could read the answers, too (hence Host: only this
machine's names are heard). Elsewhere the token decides, which no page has. What is refused gets a status, a reason and
a way to mend it. This module knows no framework and no socket.

>>> gate = Gate.of("127.0.0.1")
>>> gate.refuses("GET", [(b"host", b"127.0.0.1:8000")]) is None
True
>>> gate.refuses("GET", [(b"host", b"evil.example:8000")]).status
403
"""

import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from aifactory_lab.access import tokens
from aifactory_lab.access.tokens import Token, local

HOSTS = "AIFACTORY_HOSTS"  # names of a proxy in front, with commas between
SAFE = ("GET", "HEAD", "OPTIONS")  # change nothing (RFC 9110, 9.2.1)
CHALLENGE = (b"www-authenticate", b"Bearer")


@dataclass(frozen=True)
class Refused:
    """Why a request is not heard."""

    status: int
    what: str
    mend: str

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What is sent with it."""
        return (CHALLENGE,) if self.status == 401 else ()

    def __str__(self) -> str:
        return f"{self.what}; mend: {self.mend}"


@dataclass(frozen=True)
class Gate:
    """What a server asks of every request.

    Attributes
    ----------
    token
        Empty: none is asked for.
    here
        Whether it listens on this machine only, and so must know the name by which it is called.
    names
        Those of a proxy in front of it.
    """

    token: Token = field(default_factory=Token)
    here: bool = True
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, host: str, token: Token | None = None) -> Self:
        """Return the gate of a server that listens on an address; without a token the environment's, or a new one.

        Raises
        ------
        FactoryError
            If the token of the environment is not sound.
        """
        names = frozenset(name.strip().lower() for name in os.environ.get(HOSTS, "").split(",") if name.strip())
        return cls(tokens.wanted(host) if token is None else token, local(host), names)

    def refuses(
        self, method: str, headers: Iterable[tuple[bytes, bytes]], *, open_to_all: bool = False
    ) -> Refused | None:
        """Return why a request is not heard, or None.

        Parameters
        ----------
        headers
            Names in small letters, and values, as ASGI has them.
        open_to_all
            Whether no token is asked for: a look at the server's health.
        """
        host, origin, authorization = b"", None, b""
        for name, value in headers:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"authorization":
                authorization = value
        if self.here and not self._known(host):
            return _stranger(host)
        if origin is not None and method not in SAFE and not self._own(origin, host):
            return Refused(403, "a page of another site asked for it", f"export {HOSTS}=<that site's name>")
        if self.token and not open_to_all and not self.token.fits(authorization):
            return Refused(401, "this server asks for a token", "send the header Authorization: Bearer <the token>")
        return None

    def _known(self, host: bytes) -> bool:
        """Whether a name can only mean this machine; who sends none is no browser."""
        name = _name(host)
        return not host or name in ("localhost", *self.names) or name.endswith(".localhost") or _is_address(name)

    def _own(self, origin: bytes, host: bytes) -> bool:
        place = urlsplit(origin.decode("latin-1")).netloc.lower()
        return bool(place) and (place == host.decode("latin-1").lower() or _name(place.encode("latin-1")) in self.names)


def _stranger(host: bytes) -> Refused:
    name = _name(host)[:100]
    return Refused(403, f"this server does not go by the name {name!r}", f"export {HOSTS}={name or '<name>'}")


def _name(host: bytes) -> str:
    """Return a Host header's name, without the port."""
    word = host.decode("latin-1").lower()
    if word.startswith("["):
        return word[1:].partition("]")[0]
    return word.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def refused_as_json(refused: Refused) -> dict[str, dict[str, str | None]]:
    """Return the body that says so, in the form of the house's errors."""
    return {"error": {"field": None, "message": str(refused)}}


OPEN: Sequence[str] = ("/health",)
