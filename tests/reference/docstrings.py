"""The rules that docstrings are held to: numpydoc's, as far as the house keeps them, and what numpydoc does not ask.

Everything without an underscore
    has a docstring (GL08); parameters that it documents are the signature's (PR02); what it says to raise is an error
    that exists.
Every function of an `__all__`, besides
    has a word on each of three or more parameters, in its section or its text; says what comes back, in a section or by
    a summary that begins with it; and lists the errors of ours that its own body raises.

>>> [rule for rule, _ in complaints(next(each for each in everything() if each.name.endswith("errors.require")))]
[]
"""

import ast
import builtins
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

from numpydoc import docscrape, validate

from tests.reference.surface import Public, everything, public_names

__all__ = ["complaints", "everything", "public_complaints", "public_names"]
ALWAYS = ("GL08", "PR02")
GIVES_BACK = re.compile(
    r"\b(?:[Rr]eturn|Yield|Open|Make|Read|Start|Build|Load|Draw|Compute|Fit|Find|Measure)", re.IGNORECASE
)
FEW = 2  # so many parameters a summary can say in passing
Complaint = tuple[str, str]


def complaints(public: Public) -> Iterator[Complaint]:
    """Yield (rule, what is wrong) of anything without an underscore."""
    text = public.docstring
    if not text:
        yield "GL08", "no docstring"
        return
    yield from (each for each in _numpydoc(public) if each[0] in ALWAYS)
    for raised in docscrape.NumpyDocString(text)["Raises"]:
        for name in re.split(r",\s*|\s+or\s+", raised.type or raised.name):
            if not _is_error(name, public.thing):
                yield "raises", f"{name} is no error"


def public_complaints(public: Public) -> Iterator[Complaint]:
    """Yield (rule, what is wrong) of a name of an `__all__`."""
    sections = docscrape.NumpyDocString(public.docstring)
    if inspect.isfunction(public.thing):
        silent = [name for name in _parameters(public.thing) if not _named(name, public.docstring, sections)]
        if len(_parameters(public.thing)) > FEW and silent:
            yield "parameters", f"not a word of {', '.join(silent)}"
        returns = inspect.signature(public.thing).return_annotation not in (None, "None", inspect.Signature.empty)
        if returns and not (
            sections["Returns"] or sections["Yields"] or GIVES_BACK.search(public.docstring.split("\n\n")[0])
        ):
            yield "returns", "what comes back?"
        documented = {name for each in sections["Raises"] for name in re.findall(r"\w+", each.type or each.name)}
        for name in sorted(_raised(public.thing) - documented):
            yield "raises", f"raises {name} and does not say so"


def _numpydoc(public: Public) -> Iterator[Complaint]:
    if isinstance(public.thing, property):
        return
    try:
        yield from validate.validate(public.home)["errors"]
    except (StopIteration, AttributeError, OSError):
        return  # numpydoc cannot find the source of what a decorator made


def _parameters(thing: Any) -> list[str]:
    return [name for name in inspect.signature(thing).parameters if len(name) > 1 and not name.startswith("_")]


def _named(name: str, text: str, sections: Any) -> bool:
    listed = [*sections["Parameters"], *sections["Attributes"], *sections["Other Parameters"]]
    heard = {word.strip().lstrip("*") for each in listed for word in (each.name or "").split(",")}
    return name in heard or bool(re.search(rf"\b{re.escape(name.replace('_', ' '))}s?\b|\b{re.escape(name)}\b", text))


def _is_error(name: str, thing: Any) -> bool:
    namespace = getattr(sys.modules.get(getattr(thing, "__module__", "") or ""), "__dict__", {})
    found = namespace.get(name) or getattr(builtins, name, None) or _errors_of_ours().get(name)
    if "." in name:
        module, _, last = name.rpartition(".")
        found = getattr(namespace.get(module) or importlib.import_module(module), last, None)
    return inspect.isclass(found) and issubclass(found, BaseException)


@cache
def _errors_of_ours() -> dict[str, type]:
    """Return every error that the house defines, by name."""
    things = [public.thing for public in everything() if inspect.isclass(public.thing)]
    return {thing.__name__: thing for thing in things if issubclass(thing, Exception)}


def _raised(function: Any) -> set[str]:
    """Return the errors of ours that a function's own body raises by name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    return names & set(_errors_of_ours())
