"""SMBIOS tables as a firmware writes them (DMTF DSP0134), for machines that are not here."""

import struct


def structure(kind: int, body: bytes, *strings: str) -> bytes:
    """One structure: header, body, its strings, two zeros."""
    told = b"".join(text.encode("latin-1") + b"\0" for text in strings) or b"\0"
    return struct.pack("<BBH", kind, 4 + len(body), 0) + body + told + b"\0"


def module(
    bank: str = "", locator: str = "", *, speed: int = 0, configured: int = 0, size: int = 0x7FFF, extended: int = 0
) -> bytes:
    """A memory device of structure 17, as SMBIOS 3.3 lays it out; a `size` of 0 is an empty slot."""
    body = bytearray(0x5C - 4)
    struct.pack_into("<H", body, 0x0C - 4, size)
    strings = [text for text in (locator, bank) if text]
    body[0x10 - 4], body[0x11 - 4] = (1 if locator else 0), (len(strings) if bank else 0)
    struct.pack_into("<H", body, 0x15 - 4, speed)
    struct.pack_into("<H", body, 0x20 - 4, configured)
    struct.pack_into("<I", body, 0x58 - 4, extended)
    return structure(17, bytes(body), *strings)


def tables(*structures: bytes) -> bytes:
    """A whole table: something before, the structures, the end."""
    return structure(0, b"\0" * 14, "Some Firmware", "1.0") + b"".join(structures) + structure(127, b"")
