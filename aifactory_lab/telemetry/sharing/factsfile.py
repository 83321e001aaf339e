"""The slow facts of a shared source in a JSON file beside its ring: one process writes it now and then, others read.

It is written aside and renamed, at most every few seconds, and read only when it is another than before. It does
not know who may write.

>>> import tempfile
>>> written = FactsFile(Path(tempfile.mkdtemp()) / "doctest.json")
>>> written.add({"gpu 0": Facts(details={"driver": "570"})}, entities=["gpu 0"])
>>> read = FactsFile(written.path)
>>> read.news()["gpu 0"].details["driver"], read.news()
('570', {})
"""

import time
from collections.abc import Container, Mapping
from pathlib import Path

from aifactory_lab.aside import write_aside
from aifactory_lab.telemetry.readings import Facts
from aifactory_lab.telemetry.sharing.documents import read_facts, write_facts

SECONDS = 5.0  # between two writings


class FactsFile:
    """Facts by entity id in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._facts: dict[str, Facts] = {}
        self._due = 0.0
        self._seen = (0, 0)

    def add(self, facts: Mapping[str, Facts], *, entities: Container[str]) -> None:
        """Note facts, forget those of entities that are gone, and write all of them if it is time to."""
        self._facts.update(facts)
        if not self._facts or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + SECONDS
        self._facts = {entity: of for entity, of in self._facts.items() if entity in entities}
        with write_aside(self.path) as aside:
            aside.write_bytes(write_facts(self._facts))

    def news(self) -> dict[str, Facts]:
        """Return all facts if they were written anew since the last call, else nothing.

        Raises
        ------
        TelemetryError
            If the file is damaged.
        """
        try:
            found = self.path.stat()
            if (found.st_ino, found.st_mtime_ns) == self._seen:
                return {}
            self._seen = (found.st_ino, found.st_mtime_ns)
            return read_facts(self.path.read_bytes())
        except FileNotFoundError:
            return {}

    def clear(self) -> None:
        """Remove what an earlier writer left."""
        self.path.unlink(missing_ok=True)
        self._facts, self._due = {}, 0.0
