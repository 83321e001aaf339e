"""The measurements behind the validation card: whose they are, and how they get onto this machine.

They are searched under `$AIFACTORY_DATA`, then in the cache. `fetch` downloads those that can be had: served language
models (a file inside AIConfigurator's wheel) and transfers by NCCL. AcmeTrace publishes its power and temperature as
pickles, which this package does not open. The wheel's file also has rows of B300, GB200 and GB300, at which nobody
looked while the model was made: a blind test. What is made of them is `checks`' and `calibration`'s business.

>>> [file.name for file in FILES][:2], local("no-such-measurement.csv") is None
(['silicon_sample.csv', 'h100_dgx_all_reduce.csv'], True)
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from aifactory_lab.aside import write_aside
from aifactory_lab.datasets import places, remote
from aifactory_lab.datasets.remote import RemoteFile
from aifactory_lab.errors import DataError, TwinError

WHEEL = RemoteFile(
    "aiconfigurator_core-0.12.0-cp311-abi3-manylinux_2_28_x86_64.whl",
    "https://files.pythonhosted.org/packages/ea/25/aa0ba62a34b329a1420d9bedeebd6e54bc3780cc79beacb2db9d57ec2b1a/"
    "aiconfigurator_core-0.12.0-cp311-abi3-manylinux_2_28_x86_64.whl",
    bytes=81_715_575,
    sha256="aadc4aad0a00bf8a61c477c62bef43de479849c3aa0b1c3078068e08309eccc4",
)
VIDUR = "https://raw.githubusercontent.com/microsoft/vidur/main/data/profiling/network"


@dataclass(frozen=True)
class Measured:
    """A file of measurements: its name here, whose it is, its licence, and where it is downloaded.

    `member` is its path inside of what is downloaded, where that is an archive; `comes` is None where it has to be put
    there by hand.
    """

    name: str
    publisher: str
    licence: str
    comes: RemoteFile | None = None
    member: str = ""


def _transfers(name: str, path: str, size: int, sha256: str) -> Measured:
    return Measured(name, "microsoft/vidur", "MIT", RemoteFile(name, f"{VIDUR}/{path}", size, sha256))


def _acme(name: str) -> Measured:
    return Measured(name, "InternLM/AcmeTrace", "CC-BY-4.0")


FILES: tuple[Measured, ...] = (
    Measured(
        "silicon_sample.csv",
        "NVIDIA, InferenceX",
        "Apache-2.0",
        WHEEL,
        "aiconfigurator_core/systems/silicon_sample.csv",
    ),
    _transfers(
        *("h100_dgx_all_reduce.csv", "h100_dgx/all_reduce.csv", 274_142),
        "7bc107da2ca2790ab5aa6585eba71603bf7359dd7e7cba1b586f885cae8bcb81",
    ),
    _transfers(
        *("h100_dgx_send_recv.csv", "h100_dgx/send_recv.csv", 177_070),
        "605b758cd4791cbbd1fab8d5d990463b237346e9365823d768299368fc50c4c9",
    ),
    _transfers(
        *("a100_dgx_all_reduce.csv", "a100_dgx/all_reduce.csv", 645_190),
        "5ea3f3c229fee1ef70ea308881fff420d60ab6f30e86edda1ed6146b12eb28ef",
    ),
    *(_acme(f"gpu_{figure}_{cluster}.csv") for figure in ("power", "temp") for cluster in ("kalos", "seren")),
    *(_acme(name) for name in ("server_power.csv", "util_gpu_kalos_full.csv", "util_gpu_seren.csv")),
)


def local(name: str) -> Path | None:
    """Return a file of measurements if it is here: under ``$AIFACTORY_DATA``, else in the cache."""
    cached = places.cache() / remote.CACHE_FOLDER / name
    return next(places.candidates(name), cached if cached.is_file() else None)


def find(name: str) -> Path:
    """Return a file of measurements.

    Raises
    ------
    TwinError
        If it is not here; the mend says how it gets here.
    """
    if (found := local(name)) is not None:
        return found
    msg = f"{name} is not here (looked for under ${places.VARIABLE} and in the cache)"
    by_hand = f"export {places.VARIABLE}=~/data  # a folder that holds {name}"
    can = any(file.name == name and file.comes for file in FILES)
    raise TwinError(msg, mend="aifactory twin measurements" if can else by_hand)


def fetch(*, progress: bool = True) -> pl.DataFrame:
    """Download what is not here yet: 82 MB, of which 3 MB are kept.

    Returns
    -------
    polars.DataFrame
        ``file``, ``publisher``, ``licence``, ``path`` (null where it is not here), ``note``.

    Raises
    ------
    DataError
        If the network cannot be reached, or what came is not what it should be.
    """
    for file in FILES:
        if file.comes and local(file.name) is None:
            _download(file, file.comes, progress=progress)
    return table()


def table() -> pl.DataFrame:
    """Return the measurements, and which of them are here; see `fetch` for the columns."""
    rows = [
        (file.name, file.publisher, file.licence, None if (at := local(file.name)) is None else str(at), _note(file))
        for file in FILES
    ]
    return pl.DataFrame(
        rows, schema=dict.fromkeys(("file", "publisher", "licence", "path", "note"), pl.String), orient="row"
    )


def _note(file: Measured) -> str:
    return "downloaded on demand" if file.comes else "by hand: its publisher has pickles, which are not opened here"


def _download(file: Measured, comes: RemoteFile, *, progress: bool) -> None:
    came = remote.fetch(comes, progress=progress)
    if not file.member:
        return
    try:
        with zipfile.ZipFile(came) as archive, write_aside(came.with_name(file.name)) as aside:
            aside.write_bytes(archive.read(file.member))
    except (KeyError, zipfile.BadZipFile) as error:
        msg = f"{comes.name} does not hold {file.member}: {error}"
        raise DataError(msg, mend=f"delete {came}") from error
    came.unlink()
