"""Bars: one that grows with a file while a query writes it, and one that counts rows.

Polars runs a query as one call, so the only sign of progress from outside is the size of its output. Such a
bar does not know how large that will become: it counts bytes and does not promise an end.

>>> from pathlib import Path
>>> with growing(Path("no/such/file"), "nothing", show=False):
...     pass
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aifactory_lab import measure

LOOK_SECONDS = 0.25


@contextmanager
def counting(name: str, total: int, *, show: bool) -> Iterator[Callable[[int], Any]]:
    """Show how many rows of how many are done; call what is yielded with the number of rows just finished."""
    from tqdm.auto import tqdm

    with tqdm(desc=name, total=total, unit="row", unit_scale=True, disable=not show) as bar:

        def count(rows: int) -> None:
            bar.update(rows)
            measure.progress(rows)

        yield count


@contextmanager
def growing(path: Path, name: str, *, show: bool) -> Iterator[None]:
    """Show how many bytes a file has while the block runs.

    Parameters
    ----------
    path
        The file; need not exist yet.
    name
        What the bar is called.
    show
        Whether to show a bar at all.
    """
    if not show:
        yield
        return
    from tqdm.auto import tqdm

    done = threading.Event()
    with tqdm(desc=name, unit="B", unit_scale=True, unit_divisor=1024) as bar:
        thread = threading.Thread(target=_watch, args=(path, bar, done), name="aifactory-etl-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _watch(path: Path, bar: Any, done: threading.Event) -> None:
    while not done.wait(LOOK_SECONDS):
        _look(path, bar)
    _look(path, bar)


def _look(path: Path, bar: Any) -> None:
    size = path.stat().st_size if path.exists() else 0
    bar.update(size - bar.n)
