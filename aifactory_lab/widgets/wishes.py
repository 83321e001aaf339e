"""What a person types into a form, as Python: the names that can be run, and the arguments of a call.

Arguments are literals only; nothing that is typed is run. This module knows no widget.

>>> arguments('10, rate=0.1, name="a"')
((10,), {'rate': 0.1, 'name': 'a'})
"""

import ast
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from aifactory_lab.errors import FactoryError

MOST_NOTEBOOKS = 50


def user_names() -> Mapping[str, Any]:
    """Return the notebook's own names, or those of the main script."""
    shell = _shell()
    names: Mapping[str, Any] = shell.user_ns if shell is not None else vars(sys.modules["__main__"])
    return names


def callables(names: Mapping[str, Any]) -> list[str]:
    """Return the names of a person's functions, and of objects of theirs that can be called, in their order."""
    hidden = getattr(_shell(), "user_ns_hidden", {})  # what IPython itself put there
    found = [name for name, value in list(names.items()) if not name.startswith("_") and _own(value)]
    return [name for name in found if name not in hidden]


def notebooks(folder: Path) -> list[str]:
    """Return the notebooks in a folder, without those in folders below."""
    return sorted(path.name for path in folder.glob("*.ipynb"))[:MOST_NOTEBOOKS]


def arguments(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call as they stand between its brackets.

    Raises
    ------
    FactoryError
        If they are no literals.
    """
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        # "1)(2" is a call of something else, "**more" has no name
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            args = tuple(ast.literal_eval(node) for node in call.args)
            named = {node.arg: ast.literal_eval(node.value) for node in call.keywords}
            if None not in named:
                return args, {str(name): value for name, value in named.items()}
    except (SyntaxError, ValueError):
        pass
    msg = f"these are no arguments: {text}"
    raise FactoryError(msg, mend='10, rate=0.1, name="a"  # numbers, texts, lists: no names, no calls')


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _own(value: Any) -> bool:
    """Tell whether a value is a function that was written here, or an object with a call of its own that was."""
    if isinstance(value, FunctionType):
        return True
    return not isinstance(value, type) and callable(value) and type(value).__module__ == "__main__"
