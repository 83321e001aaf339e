"""The links of the written pages: every one of ours leads to a page, and to a place in it that is there.

>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> _ = (folder / "a.html").write_text('<h1 id="top"></h1><a href="#top">x</a><a href="b.html">y</a>')
>>> broken(folder)
['a.html: b.html']
"""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote


class _Links(HTMLParser):
    """Gathers what a page links to, and the places that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.places: set[str] = {""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and (target := given.get("href")):
            self.targets.append(target)
        if place := given.get("id"):
            self.places.add(place)


def broken(folder: Path) -> list[str]:
    """Return the links of all pages below a folder that lead nowhere, each with its page."""
    pages = {path.resolve(): _read(path) for path in folder.rglob("*.html")}
    found = []
    for path, page in pages.items():
        for target in dict.fromkeys(page.targets):
            if "://" in target:
                continue
            name, _, place = unquote(target).partition("#")
            there = (path.parent / name).resolve() if name else path
            if there not in pages or place not in pages[there].places:
                found.append(f"{path.relative_to(folder.resolve())}: {target}")
    return found


def _read(path: Path) -> _Links:
    parser = _Links()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser
