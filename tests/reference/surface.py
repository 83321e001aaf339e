"""What is public: the names of every `__all__`, also of packages that open their rooms on first use (PEP 562).

A package that was never entered has an empty namespace, and a generator of documentation sees nothing in it; so every
name is fetched once, as a user would fetch it.

>>> names = {public.name for public in public_names()}
>>> {"aifactory_lab.etl.run", "aifactory_lab.fleet.Fleet", "aifactory_lab.widgets.GpuBoard"} <= names
True
"""

import importlib
import inspect
import pkgutil
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import aifactory_lab

RUNS_AT_ONCE = ("__main__",)


@dataclass(frozen=True)
class Public:
    """A public function, class or method: how a user reaches it, and where it is written."""

    name: str
    thing: Any
    owner: type | None = None

    @property
    def home(self) -> str:
        """Where it is written, dotted, as numpydoc wants it."""
        if self.owner is not None:
            return f"{self.owner.__module__}.{self.owner.__qualname__}.{self.name.rpartition('.')[2]}"
        return f"{self.thing.__module__}.{self.thing.__qualname__}"

    @property
    def docstring(self) -> str:
        return inspect.getdoc(self.thing) or ""


@cache
def modules() -> tuple[str, ...]:
    """Return the names of all modules of the house."""
    found = pkgutil.walk_packages(aifactory_lab.__path__, "aifactory_lab.")
    return ("aifactory_lab", *(each.name for each in found if not each.name.endswith(RUNS_AT_ONCE)))


@cache
def packages() -> tuple[str, ...]:
    """Return the modules that say in `__all__` what of them is public, each with all its names fetched."""
    found = []
    for name in modules():
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            vars(module)[public] = getattr(module, public)
        if hasattr(module, "__all__"):
            found.append(name)
    return tuple(found)


@cache
def public_names() -> tuple[Public, ...]:
    """Return every function and class of every `__all__`, once, by its shortest name."""
    found: dict[int, Public] = {}
    for package in sorted(packages(), key=lambda name: name.count(".")):
        module = importlib.import_module(package)
        for name in module.__all__:
            thing = getattr(module, name)
            if (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__module__.startswith("aifactory_lab"):
                found.setdefault(id(thing), Public(f"{package}.{name}", thing))
    return tuple(found.values())


@cache
def everything() -> tuple[Public, ...]:
    """Return every function, class, method and property without an underscore, of every module."""
    return tuple(public for module in modules() for public in _of(importlib.import_module(module)))


def _of(module: types.ModuleType) -> Iterator[Public]:
    for name, thing in vars(module).items():
        ours = (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__module__ == module.__name__
        if name.startswith("_") or not ours or thing.__qualname__ != name:
            continue
        yield Public(f"{module.__name__}.{name}", thing)
        if inspect.isclass(thing):
            yield from _members(f"{module.__name__}.{name}", thing)


def _members(name: str, kind: type) -> Iterator[Public]:
    for member, found in vars(kind).items():
        thing = found.__func__ if isinstance(found, classmethod | staticmethod) else found
        is_method = inspect.isfunction(thing) and thing.__name__ == member  # not a field whose default is a function
        if not member.startswith("_") and (is_method or isinstance(thing, property)):
            yield Public(f"{name}.{member}", thing, kind)
