"""A plotly figure in a page of voila or JupyterLab that can be replaced many times a second, without any network.

The library travels from the kernel to the page once, packed, for all figures of the page; after that each change is the
figure alone. A `FigureWidget` brings its own five megabytes every time. One figure of a page says every 15 seconds that
it is still there, so that nobody ends the kernel of a page that is only looked at. What is drawn is not known here.

>>> import plotly.graph_objects as go
>>> plot = Plot(go.Figure(go.Bar(y=[1, 2])))
>>> "bar" in plot.figure
True
>>> plot.close()
"""

import gzip
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import anywidget
import plotly.graph_objects as go
import traitlets
from plotly.offline import get_plotlyjs

from aifactory_lab.figures.theme import CONFIG
from aifactory_lab.widgets.board import STATIC

Pick = Callable[[Mapping[str, Any]], None]


@cache
def library() -> bytes:
    """Return plotly's own JavaScript, packed: 1.5 MB, below what Jupyter's server lets through in a second."""
    return gzip.compress(get_plotlyjs().encode(), mtime=0)


class Plot(anywidget.AnyWidget):
    """A figure that can be replaced.

    Parameters
    ----------
    figure
        What is drawn first; nothing by default.
    picked
        Called with what was clicked: ``trace`` and ``point`` (their numbers) and the point's ``customdata``.
    """

    _esm = (STATIC / "plot.js").read_text(encoding="utf-8")
    figure = traitlets.Unicode().tag(sync=True)
    config = traitlets.Dict(CONFIG).tag(sync=True)

    def __init__(self, figure: go.Figure | None = None, *, picked: Pick | None = None) -> None:
        super().__init__(figure="" if figure is None else figure.to_json())
        self._picked = picked
        self.on_msg(_hear)

    def show(self, figure: go.Figure) -> None:
        """Draw this instead; what has not changed is not sent again."""
        self.figure = figure.to_json()

    def hear(self, content: Mapping[str, Any]) -> None:
        """Answer one message of the page."""
        if content.get("k") == "library":
            self.send({"k": "library"}, [library()])
        elif content.get("k") == "pick" and self._picked is not None:
            self._picked(content)


def _hear(plot: Plot, content: Mapping[str, Any], _: Any) -> None:
    """Hand on a message; a function, so that the widget does not hold itself."""
    plot.hear(content)
