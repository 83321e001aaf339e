"""Data cards: what a dataset is, in a form that a notebook renders.

The card of a vendored dataset is the `README.md` beside its files; that of a remote one is written from its entry
in the catalogue, with the same headings as far as they are known. This module does not open the tables.

>>> print(str(card("flights")).splitlines()[0])
# Flights that left New York City in 2013
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from aifactory_lab.datasets import places
from aifactory_lab.datasets.entries import Entry, entry


@dataclass(frozen=True)
class Card:
    """A data card; notebooks show it rendered, `print` shows its Markdown."""

    name: str
    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text

    def section(self, heading: str) -> str:
        """Return what stands under a heading, or nothing if the card has none of this name.

        Examples
        --------
        >>> card("azure-llm").section("Licence")
        'CC-BY-4.0'
        """
        found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", self.text, flags=re.DOTALL | re.MULTILINE)
        return found[1].strip() if found else ""


def card(name: str) -> Card:
    """Return the card of a dataset of the catalogue.

    Raises
    ------
    DataError
        If there is no dataset of this name.
    """
    known = entry(name)
    if known.files:
        return Card(name, _written(known))
    text = (places.vendored(name) / "README.md").read_text(encoding="utf-8")
    return Card(name, re.sub(r"<!-- .*? -->\n\n?", "", text))


def _written(known: Entry) -> str:
    columns = "\n".join(f"| `{name.replace(', ', '`, `')}` | {meaning} |" for name, meaning in known.columns)
    files = "\n".join(
        f"- table `{table}`: `{file.name}`, {file.bytes:,} bytes, from {urlsplit(file.url).netloc}; {file.trust}"
        for table, file in known.files
    )
    sections = {
        "Source": f"{known.source}\n\n{known.about}",
        "Licence": known.licence,
        "Rows × columns": f"{known.rows:,} rows as published",
        "Columns": f"| column | meaning |\n| --- | --- |\n{columns}",
        "Files and sha256": files,
    }
    return f"# {known.title}\n\n" + "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections.items()) + "\n"
