"""What AI factories are made of, as the industry tells it, and what stands for each part here: one table, no excuses.

The table is a file beside this module, `systems.csv`; a test runs its lines. Its last column is what to read first:
what is not there. This module does not know the parts.

>>> systems().columns
['system', 'says', 'here', 'line', 'takes', 'missing']
>>> markdown(systems().head(1)).splitlines()[1]
'|---|---|---|---|---|'
"""

from pathlib import Path

import polars as pl

FILE = Path(__file__).with_name("systems.csv")
SECONDS = "seconds"
SHELL = ("aifactory ", "make ")
HEADS = {"system": "system", "says": "what is said of it", "here": "what stands for it here"}
HEADS |= {"line": "the line that runs it", "missing": "what is not there"}


def systems() -> pl.DataFrame:
    """Return the table.

    Returns
    -------
    polars.DataFrame
        `system`; `says`, what is said of it; `here`, what stands for it; `line`, a line for a shell or for Python;
        `takes`: ``seconds``, ``minutes``, ``until Ctrl-C`` or what it needs; `missing`, what is not there.
    """
    return pl.read_csv(FILE, schema_overrides=dict.fromkeys(("system", *HEADS), pl.String))


def is_shell(line: str) -> bool:
    """Tell a line for a shell from one for Python.

    Examples
    --------
    >>> is_shell("aifactory doctor"), is_shell("print(1)")
    (True, False)
    """
    return line.startswith(SHELL)


def markdown(frame: pl.DataFrame) -> str:
    """Return the table as Markdown; a line that takes longer than seconds says so.

    Examples
    --------
    >>> print(markdown(systems().filter(system="CUDA")).splitlines()[2][:40])
    | CUDA | the platform underneath: everyt
    """
    rows = ["| " + " | ".join(HEADS.values()) + " |", "|" + "---|" * len(HEADS)]
    for row in frame.iter_rows(named=True):
        line = f"`{row['line']}`" + ("" if row["takes"] == SECONDS else f" ({row['takes']})")
        cells = {**row, "line": line}
        rows.append("| " + " | ".join(cells[name].replace("|", "\\|") for name in HEADS) + " |")
    return "\n".join(rows)
