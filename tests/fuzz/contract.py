"""What every reader of outside data promises, and how one input is held against it.

For any bytes: a right value or one of our own errors, in bounded time and memory, and never another exception. An error
is for a person, so it must be short and printable. What the bytes mean is each target's business.

>>> told = Target("numbers", int, (b"7",), refuses=(ValueError,))
>>> told.ask(b"12"), told.ask(b"twelve") is REFUSED
(12, True)
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aifactory_lab.errors import FactoryError

REFUSED = object()
MOST_CPU_SECONDS = 20.0  # of the whole process, on a busy machine: what is quadratic or endless takes more
MOST_BYTES = 512 << 20  # that the peak of resident memory may grow by
MOST_WORDS = 20_000  # characters of an error, its mend included: it must not quote a file of 10 MB


class BrokenPromiseError(AssertionError):
    """A reader took too long or too much, or refused in words that nobody can read."""


@dataclass(frozen=True)
class Target:
    """A reader of outside data.

    Attributes
    ----------
    name
        What it reads.
    read
        Takes the bytes of a stranger, and uses what it read as the house does.
    seeds
        Documents that it must read.
    refuses
        The errors that it may raise.
    words
        What its language is made of, for mutations.
    """

    name: str
    read: Callable[[bytes], Any]
    seeds: tuple[bytes, ...]
    refuses: tuple[type[Exception], ...] = (FactoryError,)
    words: tuple[bytes, ...] = ()

    def ask(self, data: bytes) -> Any:
        """Return what was read, or `REFUSED`; whatever else happens is a finding and comes out."""
        peak, start = _peak(), time.process_time()
        try:
            return self.read(data)
        except self.refuses as error:
            _readable(error)
            return REFUSED
        finally:
            if (spent := time.process_time() - start) > MOST_CPU_SECONDS:
                raise BrokenPromiseError(f"{self.name}: {spent:.0f} CPU-seconds for {len(data):,} bytes")
            if (grown := _peak() - peak) > MOST_BYTES:
                raise BrokenPromiseError(f"{self.name}: {grown >> 20:,} MiB for {len(data):,} bytes")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _readable(error: Exception) -> None:
    words = str(error)
    if not words or len(words) > MOST_WORDS:
        raise BrokenPromiseError(f"{type(error).__name__} of {len(words):,} characters") from error
    try:
        words.encode()
    except UnicodeEncodeError as unprintable:
        raise BrokenPromiseError(f"{type(error).__name__} cannot be printed: {words!r:.200}") from unprintable
