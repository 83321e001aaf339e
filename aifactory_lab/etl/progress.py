"""A bar that grows with a file while a query writes it.

Polars runs a query as one call, so the only sign of progress from outside is the size of its output. This
module does not know how large that will become: the bar counts bytes, it does not promise an end.

>>> from pathlib import Path
>>> with growing(Path("no/such/file"), "nothing", show=False):
...     pass
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.25


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
