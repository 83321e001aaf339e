"""A button that saves a file which the kernel makes when it is pressed; works in voila, which serves no files.

What goes wrong is said beside the button. What a file holds is not known here.

>>> button = Download("Table", "table.csv", lambda: b"a,b")
>>> button
Download('table.csv')
>>> button.close()
"""

import gzip
import mimetypes
from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets

from aifactory_lab.errors import FactoryError
from aifactory_lab.widgets.board import STATIC

# Jupyter's server drops what comes faster than a megabyte a second, over three seconds.
PACKED_FROM = 200_000


class Download(anywidget.AnyWidget):
    """One button.

    Parameters
    ----------
    label, hint
        What stands on it, and what a pointer that rests on it is told.
    name
        Of the file.
    make
        Returns the bytes; may raise a `FactoryError`.
    """

    _esm = (STATIC / "download.js").read_text(encoding="utf-8")
    label = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)

    def __init__(self, label: str, name: str, make: Callable[[], bytes], *, hint: str = "") -> None:
        super().__init__(label=label, hint=hint)
        self.name, self.make = name, make
        self.on_msg(_hear)

    def __repr__(self) -> str:
        return f"Download({self.name!r})"

    def answer(self) -> None:
        """Make the file and send it, or say why there is none."""
        try:
            made = self.make()
        except FactoryError as error:
            self.send({"k": "refused", "words": str(error)})
            return
        packed = len(made) > PACKED_FROM and not self.name.endswith(".zip")
        kind = mimetypes.guess_type(self.name)[0] or "application/octet-stream"
        told = {"k": "file", "name": self.name, "type": kind, "packed": packed}
        self.send(told, [gzip.compress(made, 6) if packed else made])


def _hear(button: Download, content: Mapping[str, Any], _: Any) -> None:
    """Hand on a message; a function, so that the widget does not hold itself."""
    if content.get("k") == "ask":
        button.answer()
