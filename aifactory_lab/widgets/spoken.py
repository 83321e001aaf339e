"""Words in a form's own voice: what was done, and what went wrong with the line that mends it. Text stays text.

>>> from aifactory_lab.errors import FleetError
>>> "&lt;b&gt;" in warned(FleetError("no project <b>", mend="fleet.projects()"))
True
"""

from html import escape

from aifactory_lab.errors import FactoryError

BOX = "padding:6px 12px;border-radius:6px;border-left:3px solid;line-height:1.45;overflow-wrap:anywhere;"
CODE = "display:inline-block;margin-top:4px;padding:1px 8px;border-radius:4px;background:rgba(128,134,145,.18);"
# mid colours on a transparent ground: they read on light and on dark pages
TONES = {"good": "#009E73", "bad": "#D55E00", "plain": "#8C8C8C"}


def said(text: str, tone: str = "good") -> str:
    """Return a sentence as HTML."""
    return f'<div style="{BOX}border-color:{TONES[tone]};background:{TONES[tone]}1f">{escape(text)}</div>'


def warned(error: FactoryError) -> str:
    """Return what went wrong and what mends it, as HTML."""
    mend = f'<br><code style="{CODE}">{escape(error.mend)}</code>' if error.mend else ""
    style = f"{BOX}border-color:{TONES['bad']};background:{TONES['bad']}1f"
    return f'<div role="alert" style="{style}">{escape(error.what)}{mend}</div>'


def shown(text: str) -> str:
    """Return what a job wrote, as HTML that keeps its lines."""
    style = "max-height:260px;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px;line-height:1.4;"
    return f'<pre style="{style}margin:0;padding:8px 12px">{escape(text)}</pre>'
