"""The token that a server asks for: from the environment or a file, else made when others could reach it.

A token stands in no command line, log or repr. One that is given comes from the variable or from the file that the
variable with ``_FILE`` at its end names, which nobody else may read. One that is made is handed to whoever started the
server: on the terminal, once, or as an attribute of the object that `start` returned. This module does not know HTTP.

>>> token = wanted("0.0.0.0")
>>> bool(token), token.made, len(token.value) > 40, token
(True, True, True, Token(made=True))
>>> bool(wanted("127.0.0.1"))
False
"""

import base64
import binascii
import hmac
import ipaddress
import os
import re
import secrets
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from aifactory_lab.errors import FactoryError

VARIABLE = "AIFACTORY_TOKEN"
BYTES = 32  # of chance in a token that is made
LEAST = 16  # characters of one that is given: NIST SP 800-63B-4 asks for 15 where nothing else guards
SOUND = re.compile(rf"[!-~]{{{LEAST},1024}}")
MAKE = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"


@dataclass(frozen=True)
class Token:
    """What a server asks for; an empty one asks for nothing.

    Attributes
    ----------
    value
        The secret, in no repr.
    made
        Whether it was made here, so that somebody must be told.
    """

    value: str = field(default="", repr=False)
    made: bool = False

    def __bool__(self) -> bool:
        return bool(self.value)

    def fits(self, authorization: bytes) -> bool:
        """Compare an Authorization header in constant time: a bearer token, or the password of a basic one."""
        scheme, _, given = authorization.partition(b" ")
        given = given.strip()
        if scheme.lower() == b"basic":
            given = _password(given)
        elif scheme.lower() != b"bearer":
            return False
        return hmac.compare_digest(given, self.value.encode())

    @property
    def headers(self) -> dict[str, str]:
        """What a client sends; empty where nothing is asked for."""
        return {"Authorization": f"Bearer {self.value}"} if self.value else {}


def wanted(host: str, variables: Sequence[str] = (VARIABLE,)) -> Token:
    """Return the token for a server on an address: the given one, else a new one unless only this machine reaches it.

    Parameters
    ----------
    host
        Where it will listen.
    variables
        The environment variables that may hold it, the first one first; each may be a file's, with ``_FILE``.

    Raises
    ------
    FactoryError
        If the given one is too short, or its file is open to others.
    """
    for variable in variables:
        if value := given(variable):
            return Token(value)
    return Token() if local(host) else Token(secrets.token_urlsafe(BYTES), made=True)


def given(variable: str = VARIABLE) -> str:
    """Return the token that the environment gives, or nothing.

    Raises
    ------
    FactoryError
        If it is not sound, or its file is open to others.
    """
    file = os.environ.get(f"{variable}_FILE", "")
    value = _read(Path(file).expanduser()) if file else os.environ.get(variable, "")
    if value and not SOUND.fullmatch(value):
        where = file or f"${variable}"
        msg = f"the token in {where} has {len(value)} characters; it takes {LEAST} to 1,024 that print, without spaces"
        raise FactoryError(msg, mend=f'export {variable}="$({MAKE})"')
    return value


def local(host: str) -> bool:
    """Tell whether only this machine reaches an address; a name other than localhost may lead anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def show(token: Token, screen: TextIO | None = None) -> None:
    """Write a token that was made to the terminal of who started the server, once; never into a file.

    Raises
    ------
    FactoryError
        If there is no terminal: nobody would know the token, or a log would.
    """
    if not token.made:
        return
    screen = screen or sys.stderr
    if not screen.isatty():
        msg = "others could reach this server, so it needs a token, and there is no terminal to show a new one on"
        mend = f"(umask 077; {MAKE} > ~/.aifactory-token); export {VARIABLE}_FILE=~/.aifactory-token"
        raise FactoryError(msg, mend=mend)
    screen.write(f"token (shown once): {token.value}\n")
    screen.flush()


def _read(path: Path) -> str:
    """Return what a private file holds."""
    try:
        with path.open("rb") as stream:
            found = os.fstat(stream.fileno())
            private = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
            value = stream.read(2_048).decode("ascii", errors="replace").strip() if private else ""
    except OSError as error:
        msg = f"the token's file {path} cannot be read: {error.strerror}"
        raise FactoryError(msg, mend=f"(umask 077; {MAKE} > {path})") from error
    if not private:
        msg = f"the token's file {path} is not yours alone (mode {stat.S_IMODE(found.st_mode):o})"
        raise FactoryError(msg, mend=f"chmod 600 {path}")
    if not value:
        msg = f"the token's file {path} is empty"
        raise FactoryError(msg, mend=f"(umask 077; {MAKE} > {path})")
    return value


def _password(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""
