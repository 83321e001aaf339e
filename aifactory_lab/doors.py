"""Doors of a package: its rooms open when they are first entered (PEP 562), so that an import costs milliseconds.

It does not know what lies behind a door.

>>> enter, listed = lazy("aifactory_lab", ["device", "Device"], {"Device": "device"})
>>> enter("device").__name__, enter("Device").__name__
('aifactory_lab.device', 'Device')
>>> enter("divice")
Traceback (most recent call last):
AttributeError: aifactory_lab has no 'divice'; did you mean 'device'? There are: device, Device
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

EMPTY: Mapping[str, str] = MappingProxyType({})


def lazy(
    package: str, names: Sequence[str], homes: Mapping[str, str] = EMPTY
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package.

    Parameters
    ----------
    package
        Its ``__name__``.
    names
        Its ``__all__``. Those without a home are modules of the package, or were imported by it already.
    homes
        Of a name that is no module: the module of the package in which it is defined.

    Returns
    -------
    tuple of callables
        To be bound to ``__getattr__, __dir__`` in the package. The first raises `AttributeError` for an unknown name
        and says which there are.
    """

    def enter(name: str) -> Any:
        if name in homes:
            return getattr(import_module(f"{package}.{homes[name]}"), name)
        if name in names:
            return import_module(f"{package}.{name}")
        from difflib import get_close_matches

        near = get_close_matches(name, names, 1)
        hint = f"; did you mean {near[0]!r}? There" if near else "; there"
        msg = f"{package} has no {name!r}{hint} are: {', '.join(names)}"
        raise AttributeError(msg)

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return enter, listed
