"""What docstrings name in single backticks: a name that looks like one of ours is one.

Looked for where a reader would look: in the module, beside it in its package, among the rooms.

>>> from tests.reference.surface import Public
>>> def example(rows):
...     "Take `rows` to `etl.run`, not to `etl.runn`."
>>> list(unresolved(Public("here.example", example)))
['etl.runn']
"""

import ast
import builtins
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import aifactory_lab
from tests.reference.surface import Public, modules

SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LOOKS_LIKE_A_NAME = re.compile(r"[A-Za-z_][\w.]*(?:\(\))?")


def unresolved(public: Public) -> Iterator[str]:
    """Yield what a docstring names in backticks and nobody can find."""
    for span in dict.fromkeys(SPAN.findall(re.sub(r"^ *>>>.*$", "", public.docstring, flags=re.MULTILINE))):
        name = span.removesuffix("()")
        if LOOKS_LIKE_A_NAME.fullmatch(span) and _is_ours(name, public) and not _found(name, public):
            yield span


def _is_ours(name: str, public: Public) -> bool:
    """Tell whether a name claims to be ours: it begins with a room, or with something of the module that is ours."""
    root, _, rest = name.partition(".")
    if not rest:
        return False
    if root in {"aifactory_lab", *aifactory_lab.__all__}:
        return not re.search(r"\.(?:py|json|jsonl|parquet|bin|csv|md|toml|yaml|html|ipynb|conf)$", name)
    thing = _namespace(public).get(root)
    return str(getattr(thing, "__module__", None) or getattr(thing, "__name__", "")).startswith("aifactory_lab")


def _found(name: str, public: Public) -> bool:
    root, *rest = name.split(".")
    places = [_namespace(public), vars(builtins), _rooms(), _neighbours(public)]
    return any(_reaches(place[root], rest) for place in places if root in place)


def _reaches(thing: Any, names: list[str]) -> bool:
    for name in names:
        try:
            thing = _step(thing, name)
        except (AttributeError, ModuleNotFoundError):
            return _is_field(thing, name) and name == names[-1]
    return True


def _step(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name)
    except AttributeError:
        if not inspect.ismodule(thing):
            raise
        return importlib.import_module(f"{thing.__name__}.{name}")


def _is_field(thing: Any, name: str) -> bool:
    """Tell whether instances of a class have an attribute: annotated, or set in one of its methods."""
    if not inspect.isclass(thing):
        return not inspect.ismodule(thing)  # an instance's attribute is not ours to judge
    if any(name in getattr(each, "__annotations__", {}) for each in thing.__mro__):
        return True
    tree = ast.parse(inspect.cleandoc(inspect.getsource(thing)))
    return any(isinstance(node, ast.Attribute) and node.attr == name for node in ast.walk(tree))


def _namespace(public: Public) -> dict[str, Any]:
    kind = public.owner or public.thing
    return vars(sys.modules[getattr(kind, "__module__", "builtins") or "builtins"])


@cache
def _rooms() -> dict[str, Any]:
    return {name: getattr(aifactory_lab, name) for name in aifactory_lab.__all__} | {"aifactory_lab": aifactory_lab}


def _neighbours(public: Public) -> dict[str, Any]:
    """Return the modules beside the one that a docstring stands in, and those beside its package."""
    here, found = getattr(public.owner or public.thing, "__module__", "") or "", {}
    for parent in (here.rpartition(".")[0], here.rpartition(".")[0].rpartition(".")[0]):
        for module in modules():
            if parent and module.rpartition(".")[0] == parent:
                found.setdefault(module.rpartition(".")[2], sys.modules.get(module) or importlib.import_module(module))
    return found
