"""The command line's reference, from typer: every command with its usage, arguments, options and defaults.

>>> page = markdown()
>>> "## aifactory run" in page and "`--copies`" in page
True
"""

from collections.abc import Iterator
from typing import Any

from tests.documents.commands import program


def markdown() -> str:
    """Return the page."""
    parts = [
        "# Command line\n",
        "Every command says the same by `--help`. Errors leave as one message and exit code 2.\n",
    ]
    return "\n".join([*parts, *_commands(program(), "aifactory")])


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield f"## {path} {name}\n\n{_first(command.help)}\n"
            yield from _commands(command, f"{path} {name}")
        else:
            yield _command(command, f"{path} {name}")


def _command(command: Any, path: str) -> str:
    given = [each for each in command.params if each.name != "help"]
    usage = " ".join([path, *(_usage(each) for each in given)])
    lines = [f"## {path}\n", f"{_first(command.help)}\n", f"```\n{usage}\n```\n"]
    if given:
        lines += ["| | default | what |", "|---|---|---|", *map(_row, given), ""]
    return "\n".join(lines)


def _first(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _usage(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        word = parameter.name.upper()
        return word if parameter.required else f"[{word}]"
    return f"[{parameter.opts[0]}]"


def _row(parameter: Any) -> str:
    argument = parameter.param_type_name == "argument"
    names = [parameter.name.upper()] if argument else [*parameter.opts, *parameter.secondary_opts]
    choices = getattr(getattr(parameter, "type", None), "choices", None)
    what = (getattr(parameter, "help", "") or "") + (f" One of: {', '.join(map(str, choices))}." if choices else "")
    default = parameter.default
    shown = "" if default in (None, "", ()) or callable(default) else f"`{getattr(default, 'value', default)}`"
    cells = [", ".join(f"`{name}`" for name in names), shown, what]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
