"""What a notebook's cells cost: the `%%meter` magic, and a ledger of every cell.

`%load_ext aifactory_lab` brings both. The ledger reads the clocks and the energy counters before and after each
cell, failed ones included; it starts no thread, so it may stay on. It does not know what a cell did.

>>> from IPython.core.interactiveshell import InteractiveShell
>>> shell = InteractiveShell.instance()
>>> load_ipython_extension(shell)
>>> _ = shell.run_cell("x = sum(range(1000))", store_history=True)
>>> ledger()["cell"].to_list()
['x = sum(range(1000))']
>>> unload_ipython_extension(shell)
>>> InteractiveShell.clear_instance()
"""

import ast
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, magics_class

from aifactory_lab.measure import Meter, StationReport
from aifactory_lab.telemetry.energy import Energy

if TYPE_CHECKING:
    import polars as pl

KEPT = 1_000


@dataclass(frozen=True)
class CellCost:
    """One run of a cell: its first line, what it took (joules `None` where unknown), and whether it failed."""

    number: int
    cell: str
    seconds: float
    cpu_seconds: float
    joules: float | None
    failed: bool


@magics_class
class CellMeter(Magics):
    """The magic and the ledger of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._shell: Any = shell
        self.costs: deque[CellCost] = deque(maxlen=KEPT)
        self.report: StationReport | None = None
        self._before: tuple[Energy, float, float] | None = None

    @cell_magic
    def meter(self, line: str, cell: str) -> Any:
        """Run a cell and say what it cost: ``%%meter a name for the boards``.

        Seconds, CPU-seconds, joules, GPU busy and peak memory; what cannot be known says why. The report is kept
        as ``cells.last()``. The cell's last expression is its output, and its errors are its own. A cell with a
        top-level ``await`` cannot be metered this way: use ``with measure.Meter():``.
        """
        with Meter(line.strip() or "cell") as meter:
            value = self._run(cell)
            meter.count(1)
        self.report = meter.report
        print(self.report.cost)  # noqa: T201 - the answer to the magic
        return value

    def _run(self, cell: str) -> Any:
        """Run a cell in the user's namespace and return the value of its last expression, as `%%time` does."""
        text = self._shell.transform_cell(cell)
        tree = self._shell.transform_ast(self._shell.compile.ast_parse(text))
        name = self._shell.compile.cache(text, raw_code=cell)  # so that a traceback shows the lines
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(self._shell.compile(tree, name, "exec"), self._shell.user_ns)  # noqa: S102 - it is the user's own cell
        if last is None:
            return None
        return eval(self._shell.compile(ast.Expression(last.value), name, "eval"), self._shell.user_ns)  # noqa: S307

    def before(self, info: Any) -> None:  # noqa: ARG002 - IPython's signature
        """Read the clocks before a cell."""
        self._before = Energy(), time.perf_counter(), time.process_time()

    def after(self, result: Any) -> None:
        """Write one line of the ledger after a cell."""
        if self._before is None or not result.info.store_history:
            return
        energy, wall, cpu = self._before
        words = next((line for line in (result.info.raw_cell or "").splitlines() if line.strip()), "")
        self.costs.append(
            CellCost(
                number=result.execution_count or 0,
                cell=words[:80],
                seconds=time.perf_counter() - wall,
                cpu_seconds=time.process_time() - cpu,
                joules=energy.joules()[0],
                failed=not result.success,
            )
        )


_METERS: dict[int, CellMeter] = {}


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Bring the magic and the ledger into a shell; loading twice changes nothing."""
    if id(shell) in _METERS:
        return
    meter = _METERS[id(shell)] = CellMeter(shell)
    shell.register_magics(meter)
    shell.events.register("pre_run_cell", meter.before)
    shell.events.register("post_run_cell", meter.after)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """End the ledger; the magic's name stays until the shell ends."""
    meter = _METERS.pop(id(shell), None)
    if meter is not None:
        shell.events.unregister("pre_run_cell", meter.before)
        shell.events.unregister("post_run_cell", meter.after)


def ledger() -> "pl.DataFrame":
    """Return what each cell of this notebook cost, in the order they ran.

    Returns
    -------
    polars.DataFrame
        `number`, `cell` (its first line), `seconds`, `cpu_seconds`, `joules` (null where no counter can be
        read), `failed`. Empty before ``%load_ext aifactory_lab``.
    """
    import polars as pl

    schema = {
        "number": pl.Int64,
        "cell": pl.String,
        "seconds": pl.Float64,
        "cpu_seconds": pl.Float64,
        "joules": pl.Float64,
        "failed": pl.Boolean,
    }
    meter = _mine()
    return pl.DataFrame([asdict(cost) for cost in meter.costs] if meter else [], schema=schema)


def last() -> StationReport | None:
    """Return the report of the last `%%meter` cell of this notebook."""
    meter = _mine()
    return meter.report if meter else None


def _mine() -> CellMeter | None:
    """Return the meter of the shell that asks."""
    return _METERS.get(id(get_ipython()))
