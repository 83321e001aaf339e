"""What documents point at: files, pictures, headings, settings, addresses. Nothing is fetched here.

>>> from tests.documents import texts
>>> complaint(texts.readme(), "CONTRIBUTING.md")
>>> complaint(texts.readme(), "notebooks/99_missing.ipynb")
'no file notebooks/99_missing.ipynb'
>>> complaint(texts.readme(), "#no-such-heading")
"README.md has no heading '#no-such-heading'"
"""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.documents.texts import IGNORED, ROOT, Document, every

OUR_FILES = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:py|js|css|c|md|ipynb|toml|cfg|yaml|yml|csv)")
ANY_FILE = re.compile(
    rf"{OUR_FILES.pattern}|[\w./-]+\.(?:html|bin|json|jsonl|parquet|conf|ubj|skops|gguf|txt|usdc?|usda)"
)
OUR_FOLDERS = ("aifactory_lab/", "datasets/", "notebooks/", "tests/", ".ci/")
MADE = {"grafana.json", "report.html"}  # what a run makes, not what the checkout has


def complaint(document: Document, target: str) -> str | None:
    """Return why a link leads nowhere; None if it leads somewhere, or out of the house."""
    if re.match(r"(?:https?|mailto|data):", target):
        return malformed(target)
    path, _, anchor = unquote(target).partition("#")
    place = (document.path.parent / path).resolve() if path else document.path
    if not place.exists():
        return f"no file {path}"
    if not anchor:
        return None
    known = next((each for each in every() if each.path == place), None)
    if known and anchor not in known.anchors():
        return f"{known.name} has no heading {'#' + anchor!r}"
    return None


def malformed(address: str) -> str | None:
    """Return what is wrong with an external address as it is written.

    >>> malformed("https://www.nvidia.com/en-us/")
    >>> malformed("http://www.nvidia.com")
    'not https'
    """
    parts = urlsplit(address)
    if parts.scheme == "data":
        return "a picture inside the text: keep it as a file"
    local = parts.hostname in {"127.0.0.1", "localhost"}
    if parts.scheme == "http" and not local:
        return "not https"
    return None if local or re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.hostname or "") else "no host"


def external() -> dict[str, list[str]]:
    """Return every external address of the documents, with where it stands."""
    found: dict[str, list[str]] = {}
    for document in every():
        for line, target in document.links():
            if target.startswith("http") and "127.0.0.1" not in target:
                found.setdefault(target, []).append(f"{document.name}:{line}")
    return found


@cache
def files() -> frozenset[str]:
    """Return the paths of the checkout, and every shorter way to say them from the right."""
    paths = [path.relative_to(ROOT) for top in _tops() for path in (top.rglob("*") if top.is_dir() else [top])]
    return frozenset("/".join(path.parts[at:]) for path in paths for at in range(len(path.parts)))


def _tops() -> list[Path]:
    return [path for path in ROOT.iterdir() if path.name not in IGNORED and (path.name[0] != "." or path.name == ".ci")]


def missing(span: str) -> bool:
    """Tell whether words in backticks name a file or folder of ours that is not there.

    >>> missing("tests/test_house.py"), missing("errors.py"), missing("tests/gone.py"), missing("features.parquet")
    (False, False, True, False)
    """
    named = span.startswith(OUR_FOLDERS) or OUR_FILES.fullmatch(span)
    if not named or any(sign in span for sign in "*<>…() NNX") or span in MADE or span.startswith(("my/", "http")):
        return False
    return span.rstrip("/") not in files()
