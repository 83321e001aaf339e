"""The shelves of the catalogue: for each kind who lists it, and who runs it; and how a name is found on them.

It knows the shelves and nothing of what stands there.

>>> find("gb200-nvl72").address
'twins/gb200-nvl72'
>>> find("datasets/flihgts")
Traceback (most recent call last):
aifactory_lab.errors.FactoryError: nothing in the catalogue is called 'datasets/flihgts'; near it: datasets/flights, ...
  mend: aifactory catalog show datasets/flights
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

from aifactory_lab.catalog import endpoints, lines, materials, models, pages, plants
from aifactory_lab.catalog.entry import HOST, KINDS, Entry, Order, Ran
from aifactory_lab.errors import FactoryError
from aifactory_lab.workspace import default_root


@dataclass(frozen=True)
class Shelf:
    """Who lists a kind (for a workspace), and who runs it."""

    entries: Callable[[Path], Iterable[Entry]]
    run: Callable[[Entry, Order], Ran]


def _models(workspace: Path) -> Iterable[Entry]:
    return chain(models.estimators(), models.language_models(), models.champions(workspace))


SHELVES: dict[str, Shelf] = {
    "datasets": Shelf(lambda _: materials.datasets(), materials.load),
    "recipes": Shelf(lambda _: materials.recipes(), materials.refine),
    "models": Shelf(_models, models.run),
    "endpoints": Shelf(endpoints.endpoints, endpoints.start),
    "dashboards": Shelf(lambda _: pages.dashboards(), pages.serve),
    "blueprints": Shelf(lambda _: lines.blueprints(), lines.execute),
    "lessons": Shelf(lambda _: pages.lessons(), pages.study),
    "twins": Shelf(lambda _: plants.twins(), plants.reckon),
}


def entries(kind: str | None = None, query: str = "", *, workspace: Path | str | None = None) -> tuple[Entry, ...]:
    """Return what there is, or what of it is of one kind or holds every word of a query.

    Parameters
    ----------
    kind
        One of `KINDS`.
    query
        Words, each of which must be found in the entry's kind, name, title, needs, licence or source.
    workspace
        Whose champions are among the models; by default `workspace.default_root()`.

    Raises
    ------
    FactoryError
        If there is no such kind.

    Examples
    --------
    >>> [entry.address for entry in entries(query="late arrivals")]
    ['recipes/flights']
    """
    root = Path(workspace) if workspace is not None else default_root()
    chosen = SHELVES if kind is None else (_kind(kind),)
    found = chain.from_iterable(SHELVES[name].entries(root) for name in chosen)
    return tuple(entry for entry in found if entry.holds(query))


def find(name: str, *, workspace: Path | str | None = None) -> Entry:
    """Return an entry by its name, or by kind and name where several kinds have one of it: ``"recipes/flights"``.

    Raises
    ------
    FactoryError
        If there is none, with those of a similar name; or several, with their kinds.
    """
    kind, slash, _ = name.partition("/")
    there = entries(kind if slash and kind in KINDS else None, workspace=workspace)
    found = [entry for entry in there if name in (entry.name, entry.address)]
    if not found:
        raise _unknown(name, there)
    if len(found) > 1:
        several = ", ".join(entry.address for entry in found)
        msg = f"{name!r} is the name of {len(found)} things: {several}"
        raise FactoryError(msg, mend=f"aifactory catalog show {found[0].address}")
    return found[0]


def run(
    name: str,
    *,
    workspace: Path | str | None = None,
    quick: bool = False,
    host: str = HOST,
    port: int = 0,
    say: Callable[[str], None] | None = print,
) -> Ran:
    """Run an entry; what that means, `KINDS` says for each kind.

    Parameters
    ----------
    name
        As in `find`.
    workspace
        Whose artefacts are used and where results go; by default `workspace.default_root()`.
    quick
        On a thin slice of its data.
    host, port
        Of what serves; port 0 takes a free one.
    say
        Called with a line of progress; `None` for silence.

    Returns
    -------
    Ran
        What came of it; a service answers until its `stop()` or the end of a `with` block.

    Raises
    ------
    FactoryError
        If there is no such entry, something that it needs is missing, or its room refuses.
    """
    entry = find(name, workspace=workspace)
    if not entry.ready:
        msg = f"{entry.address} cannot run here: {entry.state.words}"
        raise FactoryError(msg, mend=entry.state.mend)
    root = Path(workspace) if workspace is not None else default_root()
    return SHELVES[entry.kind].run(entry, Order(root, quick, host, port, say))


def _kind(name: str) -> str:
    if name not in SHELVES:
        msg = f"the catalogue has no {name!r}; it has: {', '.join(KINDS)}"
        raise FactoryError(msg, mend=f"aifactory catalog {next(iter(get_close_matches(name, KINDS, 1)), 'datasets')}")
    return name


def _unknown(name: str, there: Iterable[Entry]) -> FactoryError:
    names = {entry.address: entry.address for entry in there} | {entry.name: entry.address for entry in there}
    near = list(dict.fromkeys(names[word] for word in get_close_matches(name, names, 3)))
    more = f"; near it: {', '.join(near)}" if len(near) > 1 else ""
    mend = f"aifactory catalog show {near[0]}" if near else "aifactory catalog  # lists what there is"
    return FactoryError(f"nothing in the catalogue is called {name!r}{more}", mend=mend)
