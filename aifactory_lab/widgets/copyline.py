"""A line to copy: for a shell, or for a notebook; the page puts it on the clipboard, the kernel is not asked.

>>> line = CopyLine("shell", "aifactory doctor")
>>> line
CopyLine('aifactory doctor')
>>> line.close()
"""

import anywidget
import traitlets

from aifactory_lab.widgets.board import STATIC


class CopyLine(anywidget.AnyWidget):
    """One line with its button.

    Parameters
    ----------
    label
        What it is for.
    line
        The line; nothing is shown while it is empty.
    """

    _esm = (STATIC / "copyline.js").read_text(encoding="utf-8")
    label = traitlets.Unicode().tag(sync=True)
    line = traitlets.Unicode().tag(sync=True)

    def __init__(self, label: str, line: str = "") -> None:
        super().__init__(label=label, line=line)

    def __repr__(self) -> str:
        return f"CopyLine({self.line!r})"
