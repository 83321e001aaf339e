"""What a .gguf file says of itself before its first table: the few values that are needed before a model is loaded.

The format is described in https://github.com/ggml-org/ggml/blob/master/docs/gguf.md: pairs of a key and a typed value.
The library `gguf` reads all of them, a vocabulary of 49,152 tokens in three seconds; here reading ends at the wanted
key. This module does not know tensors.

>>> read("no/such.gguf", ".context_length")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such.gguf is not a GGUF file that can be read: No such file or directory
  mend: lm.gguf_file.write(checkpoint_folder, path)
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO

from aifactory_lab.errors import ModelError

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}


def read(path: Path | str, ending: str) -> Any:
    """Return the value of the first key with this ending.

    Parameters
    ----------
    ending
        Of the key: ``".context_length"`` stands behind the name of an architecture.

    Raises
    ------
    ModelError
        If it is not a GGUF file, or none of its keys ends so.
    """
    try:
        with Path(path).open("rb") as stream:
            return _find(stream, ending)
    except (OSError, struct.error, ValueError, KeyError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        msg = f"{path} is not a GGUF file that can be read: {reason}"
        raise ModelError(msg, mend="lm.gguf_file.write(checkpoint_folder, path)") from error


def _find(stream: BinaryIO, ending: str) -> Any:
    if stream.read(4) != MAGIC:
        msg = "it does not begin with GGUF"
        raise ValueError(msg)
    _version, _tensors, pairs = struct.unpack("<IQQ", stream.read(20))
    for _ in range(pairs):
        key, kind = _string(stream), _number(stream, "<I")
        value = _value(stream, kind)
        if key.endswith(ending):
            return value
    msg = f"no key ends with {ending!r}"
    raise ValueError(msg)


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind == STRING:
        return _string(stream)
    if kind != ARRAY:
        return _number(stream, FORMATS[kind])
    inner, count = _number(stream, "<I"), _number(stream, "<Q")
    if inner == ARRAY:
        msg = "arrays of arrays, which no model has"
        raise ValueError(msg)
    if inner in FORMATS:
        stream.seek(count * struct.calcsize(FORMATS[inner]), 1)
        return None
    for _ in range(count):
        _value(stream, inner)
    return None


def _string(stream: BinaryIO) -> str:
    size = _number(stream, "<Q")
    if size > 1 << 24:
        msg = f"a string of {size:,} bytes"
        raise ValueError(msg)
    return stream.read(size).decode(errors="replace")


def _number(stream: BinaryIO, form: str) -> Any:
    return struct.unpack(form, stream.read(struct.calcsize(form)))[0]
