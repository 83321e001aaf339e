"""The environment variables: what the README says of each, and where the code reads it.

>>> "AIFACTORY_DEVICE" in used()
True
>>> "aifactory_lab.device" in used()["AIFACTORY_DEVICE"]
True
"""

import re
from functools import cache

from tests.documents.texts import ROOT, readme


@cache
def used() -> dict[str, tuple[str, ...]]:
    """Return every variable of ours, with the modules that name it."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "aifactory_lab").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for name in sorted(set(re.findall(r"AIFACTORY_[A-Z_]+", path.read_text(encoding="utf-8")))):
            found.setdefault(name, []).append(module)
    return {name: tuple(modules) for name, modules in sorted(found.items())}


def told() -> dict[str, str]:
    """Return what the README's table says of each."""
    rows = re.findall(r"^\| ((?:`AIFACTORY_[A-Z_]+`(?:, )?)+) \| (.*) \|$", readme().text, re.MULTILINE)
    return {name: said for names, said in rows for name in re.findall(r"\w+", names)}


def markdown() -> str:
    """Return the page."""
    rows = [
        f"| `{name}` | {told().get(name, '')} | {', '.join(f'`{each}`' for each in used()[name])} |" for name in used()
    ]
    head = ["# Environment variables\n", "| variable | what it does | named in |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])
