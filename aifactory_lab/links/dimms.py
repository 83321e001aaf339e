r"""What the host's memory should carry: channels × transfers per second, from the firmware's SMBIOS tables.

The tables are those that `dmidecode` prints (DMTF DSP0134, structure 17, "Memory Device"); only root may read them, and
virtual machines make them up without a speed. The number of channels is in no field: it is read from the modules'
names, such as ``P0 CHANNEL A``; where names say nothing, each module counts as a channel.

>>> promise(Path("no/such/table"))[1]
'no/such/table cannot be read (No such file or directory), so nobody says how fast the memory is'
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aifactory_lab.links import published
from aifactory_lab.links.published import Promise

TABLES = Path("/sys/firmware/dmi/tables/DMI")
DEVICE, END = 17, 127
# In MT/s; the second two hold what is more than the first two can.
SPEED, CONFIGURED, EXTENDED, CONFIGURED_EXTENDED = 0x15, 0x20, 0x54, 0x58
SIZE, LOCATOR, BANK = 0x0C, 0x10, 0x11
BESIDE = 0xFFFF
CHANNEL = re.compile(r"channel[ _-]?([a-z0-9])|dimm[ _-]?([a-z])[ _-]?\d", re.IGNORECASE)
SOCKET = re.compile(r"\b(?:p|cpu|proc|node)[ _-]?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Dimm:
    """A memory module: its names, and its transfers per second (in millions) as configured."""

    names: str
    megatransfers_s: int


def promise(tables: Path = TABLES) -> tuple[Promise | None, str]:
    """Return what the memory should carry, or None, and what a reader should know of it."""
    try:
        found = list(dimms(tables.read_bytes()))
    except OSError as error:
        return None, f"{tables} cannot be read ({error.strerror}), so nobody says how fast the memory is"
    speeds = {each.megatransfers_s for each in found}
    if not found or 0 in speeds:
        return None, "SMBIOS does not say how fast the memory is (a virtual machine's does not)"
    count = channels(found)
    note = "" if count else "each module is counted as a channel: the names do not tell"
    return published.dram(count or len(found), min(speeds), "SMBIOS structure 17, as dmidecode prints it"), note


def channels(found: Sequence[Dimm]) -> int | None:
    """Return how many channels the modules stand in; None if their names do not tell.

    Examples
    --------
    >>> names = ("P0 CHANNEL A DIMM 0", "P0 CHANNEL A DIMM 1", "P0 CHANNEL B DIMM 0", "P1 CHANNEL A DIMM 0")
    >>> channels([Dimm(name, 4800) for name in names])
    3
    """
    places = set()
    for each in found:
        letter, socket = CHANNEL.search(each.names), SOCKET.search(each.names)
        if letter is None:
            return None
        places.add((socket[1] if socket else "", (letter[1] or letter[2]).upper()))
    return len(places)


def dimms(tables: bytes) -> Iterator[Dimm]:
    """Yield the modules that are there; what a torn table still holds is read as far as it goes."""
    place = 0
    while place + 4 <= len(tables) and tables[place] != END:
        length = tables[place + 1]
        end = tables.find(b"\0\0", place + length)
        if length < 4 or end < 0:
            return
        body, strings = tables[place : place + length], tables[place + length : end].split(b"\0")
        if body[0] == DEVICE and _word(body, SIZE):
            yield Dimm(" ".join(_string(body, strings, field) for field in (BANK, LOCATOR)).strip(), _speed(body))
        place = end + 2


def _speed(body: bytes) -> int:
    """Return MT/s as configured, else as the module could."""
    for field, beside in ((CONFIGURED, CONFIGURED_EXTENDED), (SPEED, EXTENDED)):
        if value := _word(body, field):
            return _word(body, beside, 4) if value == BESIDE else value
    return 0


def _word(body: bytes, field: int, size: int = 2) -> int:
    return int.from_bytes(body[field : field + size], "little") if field + size <= len(body) else 0


def _string(body: bytes, strings: Sequence[bytes], field: int) -> str:
    number = body[field] if field < len(body) else 0
    return strings[number - 1].decode("latin-1") if 0 < number <= len(strings) else ""
