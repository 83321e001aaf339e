"""A folder for the files that readers are given: one for the process, gone with it.

>>> put("a/b.txt", b"hello").read_bytes()
b'hello'
"""

import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def folder() -> Path:
    """Return the folder of this process."""
    memory = Path("/dev/shm")
    found = Path(tempfile.mkdtemp(prefix="aifactory-fuzz-", dir=memory if memory.is_dir() else None))
    import atexit

    atexit.register(shutil.rmtree, found, ignore_errors=True)
    return found


def put(name: str, data: bytes) -> Path:
    """Write a file, the folders before it included; return its path."""
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def emptied(name: str) -> Path:
    """Return an empty folder."""
    path = folder() / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
