"""Python of the documents, followed by name without running it: what exists, and which calls would bind.

A name is known as far as imports and annotations carry: modules, classes, functions, and instances of our classes by
what a function says that it returns. What is not known (a frame of Polars, a loop's variable) is not judged.

>>> Reader().complaints("from aifactory_lab import datasets\\ndatasets.lode('flights')")
["datasets.lode: aifactory_lab.datasets has no 'lode'"]
>>> Reader().complaints("from aifactory_lab import datasets\\ndatasets.load('flights', copy=3)")
["datasets.load('flights', copy=3): got an unexpected keyword argument 'copy'"]
"""

import ast
import collections.abc
import contextlib
import importlib
import inspect
import types
import typing
from dataclasses import dataclass, field
from typing import Any

OURS = "aifactory_lab"


@dataclass(frozen=True)
class Known:
    """What a name stands for: an object itself, or some instance of a class."""

    thing: Any
    instance: bool = False


@dataclass
class Reader:
    """Reads blocks in order, as one would paste them into a notebook, and keeps what it knows of the names."""

    names: dict[str, Known] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def complaints(self, text: str) -> list[str]:
        """Return what Python would object to in a block."""
        self.said = []
        text = "\n".join("pass" if line.lstrip().startswith(("%", "!")) else line for line in text.splitlines())
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            return [f"{error.text and error.text.strip()}: {error.msg}"]
        for statement in tree.body:
            self._read(statement)
        return list(dict.fromkeys(self.said))

    def _read(self, node: ast.AST) -> None:
        match node:
            case ast.Import() | ast.ImportFrom():
                self._import(node)
            case ast.Assign(targets=targets, value=value):
                found = self.value(value)
                for target in targets:
                    self._bind(target, found)
            case ast.With(items=items, body=body):
                for item in items:
                    self._bind(item.optional_vars, _entered(self.value(item.context_expr)))
                for statement in body:
                    self._read(statement)
            case ast.FunctionDef() | ast.ClassDef() | ast.Lambda():
                self.names.pop(getattr(node, "name", ""), None)
            case ast.expr():
                self.value(node)
            case _:
                self._forget_targets(node)
                for child in ast.iter_child_nodes(node):
                    self._read(child)

    def _forget_targets(self, node: ast.AST) -> None:
        for attribute in ("target", "optional_vars"):
            if isinstance(target := getattr(node, attribute, None), ast.AST):
                self._bind(target, None)

    def _bind(self, target: ast.AST | None, found: Known | None) -> None:
        if isinstance(target, ast.Name):
            self.names.pop(target.id, None)
            if found:
                self.names[target.id] = found
        elif isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                self._bind(each, None)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            module = alias.name if isinstance(node, ast.Import) else node.module or ""
            try:
                thing = importlib.import_module(module)
                if isinstance(node, ast.ImportFrom):
                    thing = _member(thing, alias.name)
                elif not alias.asname:
                    module = module.split(".")[0]
                    thing = importlib.import_module(module)
            except ModuleNotFoundError as error:
                if (error.name or "").startswith((OURS, "tests")) or isinstance(error, AttributeError):
                    self.said.append(f"import {module}: {error}")
                continue  # a package that only a GPU's environment has
            except AttributeError as error:
                self.said.append(f"from {module} import {alias.name}: {error}")
                continue
            self.names[alias.asname or (module if isinstance(node, ast.Import) else alias.name)] = Known(thing)

    def value(self, node: ast.expr | None) -> Known | None:
        """Return what an expression stands for, having judged everything in it."""
        match node:
            case ast.Name(id=name):
                return self.names.get(name)
            case ast.Attribute(value=inner, attr=attribute):
                return self._attribute(node, self.value(inner), attribute)
            case ast.Call():
                return self._call(node)
            case ast.Lambda() | ast.ListComp() | ast.GeneratorExp() | ast.SetComp() | ast.DictComp():
                return None
        for child in ast.iter_child_nodes(node) if node else ():
            if isinstance(child, ast.expr):
                self.value(child)
            elif isinstance(child, ast.keyword):
                self.value(child.value)
        return None

    def _attribute(self, node: ast.Attribute, owner: Known | None, attribute: str) -> Known | None:
        if owner is None or not _is_ours(owner.thing):
            return None
        if owner.instance:
            found, exists = _of_instance(owner.thing, attribute)
            if not exists:
                self.said.append(f"{ast.unparse(node)}: {owner.thing.__name__} has no {attribute!r}")
            return found
        try:
            return Known(_member(owner.thing, attribute))
        except (AttributeError, ModuleNotFoundError):
            name = getattr(owner.thing, "__name__", owner.thing)
            self.said.append(f"{ast.unparse(node)}: {name} has no {attribute!r}")
            return None

    def _call(self, node: ast.Call) -> Known | None:
        function = self.value(node.func)
        for each in [*node.args, *(word.value for word in node.keywords)]:
            self.value(each.value if isinstance(each, ast.Starred) else each)
        if function is None or function.instance or not _is_ours(function.thing) or not callable(function.thing):
            return None
        if objection := _objection(function.thing, node):
            self.said.append(f"{ast.unparse(node)}: {objection}")
        return _returned(function.thing)


def _member(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name)
    except AttributeError:
        if not isinstance(thing, types.ModuleType) or not hasattr(thing, "__path__"):
            raise
        return importlib.import_module(f"{thing.__name__}.{name}")


def _is_ours(thing: Any) -> bool:
    module = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", None)
    return str(module).split(".")[0] == OURS


def _of_instance(kind: type, name: str) -> tuple[Known | None, bool]:
    """Return what an attribute of an instance stands for, and whether there is one."""
    hints = _hints(kind)
    found = inspect.getattr_static(kind, name, None)
    if isinstance(found, property):
        return _instance_of(_hints(found.fget).get("return")), True
    if found is not None and callable(getattr(kind, name)):
        return Known(_method(kind, found, name)), True
    if name in hints:
        return _instance_of(hints[name]), True
    open_ended = hasattr(kind, "__getattr__") or f"self.{name}" in _source(kind) or f"self.{name} " in _source(kind)
    return None, found is not None or open_ended


def _source(kind: type) -> str:
    ours = [each for each in kind.__mro__ if _is_ours(each)]
    with contextlib.suppress(OSError, TypeError):
        return "\n".join(inspect.getsource(each) for each in ours)
    return ""


def _method(kind: type, found: Any, name: str) -> Any:
    """Return a method as its caller sees it: without `self`."""
    if isinstance(found, classmethod | staticmethod) or not inspect.isfunction(found):
        return getattr(kind, name)
    return types.MethodType(found, kind)


def _objection(function: Any, node: ast.Call) -> str | None:
    """Return why a call would not bind, in Python's words."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    if any(isinstance(each, ast.Constant) and each.value is ... for each in node.args):
        return _unknown_words(signature, node)
    starred = any(isinstance(each, ast.Starred) for each in node.args) or any(not word.arg for word in node.keywords)
    args = [each for each in node.args if not isinstance(each, ast.Starred)]
    words = {word.arg: word.value for word in node.keywords if word.arg}
    try:
        (signature.bind_partial if starred else signature.bind)(*args, **words)
    except TypeError as error:
        return str(error)
    return None


def _unknown_words(signature: inspect.Signature, node: ast.Call) -> str | None:
    """With `...` for what the reader fills in, only the names of the others can be wrong."""
    with contextlib.suppress(TypeError):
        signature.bind_partial(**{word.arg: None for word in node.keywords if word.arg})
        return None
    return "an unknown keyword"


def _returned(function: Any) -> Known | None:
    if inspect.isclass(function):
        return Known(function, instance=True)
    plain = inspect.unwrap(function)
    hint = _hints(plain).get("return")
    if hasattr(function, "__wrapped__") and typing.get_origin(hint) in {
        collections.abc.Iterator,
        collections.abc.Generator,
    }:
        return _instance_of(contextlib.AbstractContextManager[typing.get_args(hint)[0]])
    if hint is typing.Self and inspect.ismethod(function):
        return Known(function.__self__, instance=True)
    return _instance_of(hint)


def _entered(manager: Known | None) -> Known | None:
    """Return what `with` binds: what the manager yields, or what its `__enter__` says."""
    if manager is None or not manager.instance:
        return None
    if typing.get_origin(manager.thing) is contextlib.AbstractContextManager:
        return _instance_of(typing.get_args(manager.thing)[0])
    hint = _hints(getattr(manager.thing, "__enter__", None)).get("return")
    return manager if hint is typing.Self else _instance_of(hint)


def _instance_of(hint: Any) -> Known | None:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [each for each in typing.get_args(hint) if each is not type(None)]
        hint = kinds[0] if len(kinds) == 1 else None
    if typing.get_origin(hint) is contextlib.AbstractContextManager:
        return Known(hint, instance=True)
    return Known(hint, instance=True) if inspect.isclass(hint) and _is_ours(hint) else None


def _hints(thing: Any) -> dict[str, Any]:
    with contextlib.suppress(NameError, TypeError, AttributeError):
        return typing.get_type_hints(thing)
    return {}


def complaint(span: str, names: dict[str, Known] | None = None) -> str | None:
    """Return what Python would object to in words in backticks that begin with one of our names; None if nothing.

    A room's name is the room, unless the document itself gave the name another meaning and that one holds.

    >>> complaint("telemetry.replay(…, speed=10)")
    >>> complaint("telemetry.replai")
    "telemetry.replai: aifactory_lab.telemetry has no 'replai'"
    >>> complaint("anything else")
    """
    readings = [names or {}, _rooms()]
    verdicts = [verdict for each in readings if (verdict := _verdict(span, each)) is not None]
    return None if not verdicts or "" in verdicts else verdicts[-1]


def _verdict(span: str, names: dict[str, Known]) -> str | None:
    """Return the objection, nothing if there is none, and None if the words are not for us to judge."""
    try:
        tree = ast.parse(span.replace("…", "..."), mode="eval")
    except SyntaxError:
        return None
    root: ast.AST = tree.body
    while isinstance(root, ast.Attribute | ast.Call | ast.Subscript):
        root = root.func if isinstance(root, ast.Call) else root.value
    if not isinstance(root, ast.Name) or root.id not in names or root is tree.body:
        return None
    reader = Reader(dict(names))
    reader.value(tree.body)
    return "; ".join(reader.said)


def _rooms() -> dict[str, Known]:
    import aifactory_lab

    rooms = {name: Known(getattr(aifactory_lab, name)) for name in aifactory_lab.__all__}
    return rooms | {OURS: Known(aifactory_lab)}
