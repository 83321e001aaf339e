"""The blueprints that came with this package, by name.

>>> names()
['factory', 'flights', 'quick', 'tokens']
"""

from pathlib import Path

from aifactory_lab.blueprints.words import near
from aifactory_lab.errors import DataError

FOLDER = Path(__file__).parent
SUFFIXES = (".yaml", ".yml")


def names() -> list[str]:
    """Return the names of the blueprints that came with this package."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def path(name: str) -> Path:
    """Return the file of a blueprint that came with this package.

    Raises
    ------
    DataError
        If there is none of this name; the message lists those there are.

    Examples
    --------
    >>> path("flights").name
    'flights.yaml'
    """
    if name not in names():
        meant = near(name, names())
        msg = f"no blueprint {name!r}; there are: {', '.join(names())}"
        raise DataError(msg, mend=f"aifactory run {meant or 'flights'}")
    return FOLDER / f"{name}.yaml"


def template() -> str:
    """Return a blueprint for a table of one's own, to begin with."""
    return (FOLDER / "templates" / "own.yaml").read_text()


def find(word: str | Path) -> Path:
    """Return the file that a word of the command line means: a file, or the name of one that came with this package.

    Raises
    ------
    DataError
        If it is neither.
    """
    given = Path(word)
    if given.is_file() or given.suffix in SUFFIXES or given.name != str(word):
        return given
    return path(str(word))
