"""An Arrow stream from outside: what would grow when it is opened is refused before.

A few kilobytes of compressed zeros become gigabytes. Whether a record batch is compressed stands in its message's
head, a FlatBuffer (https://github.com/apache/arrow/blob/main/format/Message.fbs), which is read here before any
buffer is. This module does not know what the columns mean.

>>> import pyarrow as pa
>>> sink, table = pa.BufferOutputStream(), pa.table({"x": [1.0, 2.0]})
>>> with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
...     stream.write_table(table)
>>> read(sink.getvalue().to_pybytes())
Traceback (most recent call last):
aifactory_lab.errors.DataError: the Arrow stream is compressed
  mend: pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression=None))
"""

from typing import TYPE_CHECKING

import flatbuffers.table
from flatbuffers import number_types

from aifactory_lab.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

HEADER, DATA, COMPRESSION = 2, 1, 3  # fields of Message, DictionaryBatch and RecordBatch, counted from 0
BATCHES = ("record batch", "dictionary")


def read(body: bytes) -> "pa.Table":
    """Return the table of an uncompressed Arrow IPC stream.

    Raises
    ------
    DataError
        If a batch is compressed.
    pyarrow.ArrowException
        If it is no Arrow stream.
    """
    import pyarrow as pa

    for message in pa.ipc.MessageReader.open_stream(body):
        if message.type in BATCHES and _compressed(message):
            msg = "the Arrow stream is compressed"
            mend = "pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression=None))"
            raise DataError(msg, mend=mend)
    with pa.ipc.open_stream(body) as stream:
        table = stream.read_all()
    table.validate()
    return table


def _compressed(message: "pa.Message") -> bool:
    words = message.metadata.to_pybytes()
    root = flatbuffers.table.Table(words, int.from_bytes(words[:4], "little"))
    batch = _below(root, HEADER)
    if batch is not None and message.type == "dictionary":
        batch = _below(batch, DATA)
    return batch is None or _field(batch, COMPRESSION) != 0


def _below(table: flatbuffers.table.Table, field: int) -> flatbuffers.table.Table | None:
    at = _field(table, field)
    return flatbuffers.table.Table(table.Bytes, table.Indirect(table.Pos + at)) if at else None


def _field(table: flatbuffers.table.Table, field: int) -> int:
    """Return where a field of a table lies, 0 if it is not set."""
    return int(table.Offset(number_types.VOffsetTFlags.bytewidth * (field + 2)))
