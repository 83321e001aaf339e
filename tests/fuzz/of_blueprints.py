"""The reader of blueprints: YAML that a person wrote, with its errors by line."""

from typing import Any

from aifactory_lab import blueprints
from tests.fuzz.contract import Target
from tests.fuzz.scratch import put

WORDS = (
    b"&a [*a, *a]",
    b"*a",
    b"<<: ",
    b"!!python/object:os.system",
    b"? ",
    b"- ",
    b"|\n",
    b"---\n",
    b"\t",
    b"2026-02-30",
)


def blueprint(data: bytes) -> Any:
    """Read a blueprint."""
    return blueprints.read(put("blueprints/mine.yaml", data))


def targets() -> tuple[Target, ...]:
    """Return the reader of blueprints."""
    from importlib.resources import files

    shipped = files("aifactory_lab.blueprints")
    seeds = tuple((shipped / name).read_bytes() for name in ("quick.yaml", "tokens.yaml"))
    return (Target("blueprint", blueprint, seeds, words=WORDS),)
