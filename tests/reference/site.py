"""The pages of the reference: `make docs` writes them to `site/`, to be opened from the disk; they need no network.

One page for each public module, by pdoc; one for the command line, one for the settings, and an index of the rooms.

>>> page_of("aifactory_lab.twin.design")
'aifactory_lab/twin/design.html'
"""

import importlib
import inspect
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

import pdoc
from pdoc import extract, render
from pdoc.render_helpers import to_html

from tests.documents.texts import ROOT
from tests.reference import commandline, settings
from tests.reference.surface import packages

TEMPLATES = Path(__file__).parent / "templates"
PACKAGE = "aifactory_lab"


def page_of(module: str) -> str:
    """Return where a module's page is, from the index."""
    return f"{module.replace('.', '/')}.html"


def public_modules() -> tuple[str, ...]:
    """Return the modules that have a page: those that an `__all__` leads to, and those that have one."""
    packages()  # so that the lazy ones are open
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(dict.fromkeys([*extract.walk_specs([PACKAGE]), *packages()]))


def build(folder: Path, modules: Iterable[str] | None = None) -> list[Path]:
    """Write the pages of the given modules, by default of all; return them, the index first."""
    render.configure(docformat="numpy", show_source=True, template_directory=TEMPLATES)
    render.env.globals["root_module_name"] = False
    named = public_modules() if modules is None else tuple(modules)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # annotations of packages that are imported where they are used
        known = {name: pdoc.doc.Module.from_name(name) for name in named}
        texts = {page_of(name): render.html_module(module, known) for name, module in known.items()}
        search = render.search_index(known)
    texts |= {"commandline.html": _page("Command line", commandline.markdown())}
    texts |= {"settings.html": _page("Environment variables", settings.markdown())}
    texts = {"index.html": _page("Reference", _index(named))} | texts | {"search.js": search}
    return [_written(folder / name, text) for name, text in texts.items()]


def _page(title: str, markdown: str) -> str:
    return render.env.get_template("page.html.jinja2").render(title=title, body=to_html(markdown))


def _index(modules: Iterable[str]) -> str:
    rows = [
        f"| [{name.removeprefix(f'{PACKAGE}.')}]({page_of(name)}) | {_first(name)} |"
        for name in sorted(modules, key=lambda name: (name.count(".") > 1, name))
        if name.count(".") <= 1
    ]
    more = ["", "Beside Python: the [command line](commandline.html) and the [environment variables](settings.html)."]
    return "\n".join(["# aifactory_lab: the reference", "", "| room | what it is |", "|---|---|", *rows, *more, ""])


def _first(name: str) -> str:
    said = inspect.getdoc(importlib.import_module(name)) or ""
    return " ".join(said.split("\n\n")[0].split()).replace("|", "\\|")


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def main(words: list[str]) -> None:
    """Write the reference to a folder, by default `site/`."""
    folder = Path(words[0]) if words else ROOT / "site"
    pages = build(folder)
    print(f"{len(pages)} pages; open {pages[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
