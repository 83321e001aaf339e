"""The documents as text: files, headings, blocks of code, words in backticks. It does not know what is true.

>>> blocks = readme().blocks("bash")
>>> blocks[0].text.split()[:2]
['make', 'run']
>>> readme().anchors() >= {"the-lessons", "settings"}
True
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
IGNORED = {"node_modules", "workspace", "site", "dist"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, in which section, in which language."""

    document: str
    line: int
    section: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


@dataclass(frozen=True)
class Document:
    """One Markdown file, or the Markdown (and the code, as blocks) of one notebook."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def is_notebook(self) -> bool:
        return self.path.suffix == ".ipynb"

    @cached_property
    def _blocks(self) -> list[Block]:
        return [
            Block(self.name, self.text[: found.start()].count("\n") + 1, self._section(found.start()), *found.groups())
            for found in FENCE.finditer(self.text)
        ]

    def blocks(self, language: str) -> list[Block]:
        """Return the fenced blocks of one language, in order."""
        return [block for block in self._blocks if block.language == language]

    def _section(self, position: int) -> str:
        headings = re.findall(r"^#{1,3} (.*)$", FENCE.sub(_blank, self.text[:position]), re.MULTILINE)
        return headings[-1] if headings else ""

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks; lines keep their numbers."""
        return FENCE.sub(_blank, self.text)

    def spans(self) -> list[tuple[int, str]]:
        """Return (line, text) of what stands in single backticks outside blocks."""
        found = re.finditer(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)", self.prose)
        return [(self.prose[: each.start()].count("\n") + 1, each[1].replace("\n", " ")) for each in found]

    def links(self) -> list[tuple[int, str]]:
        """Return (line, target) of links and pictures, in Markdown or HTML, and of addresses in pointed brackets."""
        bare = re.sub(r"`[^`\n]*`", lambda found: " " * len(found[0]), self.prose)
        pattern = r"\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)*)\)|(?:href|src)=\"([^\"]+)\"|<(https?://[^>\s]+)>"
        return [
            (bare[: found.start()].count("\n") + 1, found[1] or found[2] or found[3])
            for found in re.finditer(pattern, bare)
        ]

    def anchors(self) -> set[str]:
        """Return the anchors that GitHub and JupyterLab make of the headings."""
        headings = re.findall(r"^#{1,6} +(.*?) *#*$", self.prose, re.MULTILINE)
        slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings]
        return {
            slug if not slugs[:at].count(slug) else f"{slug}-{slugs[:at].count(slug)}" for at, slug in enumerate(slugs)
        }


@cache
def markdown() -> tuple[Document, ...]:
    """Return the Markdown files of the checkout."""
    found = [
        path
        for path in sorted(ROOT.rglob("*.md"))
        if not any(part in IGNORED or part.startswith(".") for part in path.relative_to(ROOT).parts)
    ]
    return tuple(Document(path, path.read_text(encoding="utf-8")) for path in found)


@cache
def lessons() -> tuple[Document, ...]:
    """Return the lessons as authored, with their solutions, and the dashboards: code cells become python blocks."""
    folder = ROOT / "notebooks"
    paths = [*sorted((folder / "solutions").glob("*.ipynb")), *sorted((folder / "dashboards").glob("*.ipynb"))]
    return tuple(Document(path, _text_of(path)) for path in paths)


def every() -> tuple[Document, ...]:
    """Return all documents."""
    return (*markdown(), *lessons())


def readme() -> Document:
    """Return the README."""
    return next(document for document in markdown() if document.name == "README.md")


def _text_of(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(
        cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```" for cell in cells
    )


def _blank(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")
