"""The predictor: a model folder that answers as fast as this machine can, whatever the batch.

It looks the engine up by the size of the batch in a table that `calibration` measured, which costs about a
microsecond, and cuts large batches into the chunks that ran fastest. It does not know where rows come from.

`predictor(rows)` takes float32 rows or a frame; `predictor.table` says which engine serves how many rows, and why.

>>> from aifactory_lab.serve import Predictor
>>> predictor = Predictor.load("no/such/model")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is not a model of ours: no bundle.json in it
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aifactory_lab.errors import DataError
from aifactory_lab.serve.calibration import SIZES, Calibration, Choice, calibrate, calibration_file, choose
from aifactory_lab.serve.engines import Engine, Predict, cores, open_engine
from aifactory_lab.serve.rows import Rows, from_frame
from aifactory_lab.train.bundle import Bundle

if TYPE_CHECKING:
    import polars as pl

BITS = 40  # batches of up to 2**40 rows


class Predictor:
    """Predict with the engine that is fastest for the batch.

    Attributes
    ----------
    bundle
        The model folder.
    choices
        One `Choice` per measured batch size.
    calibration
        The measurements behind them.
    """

    def __init__(self, bundle: Bundle, engines: Sequence[Engine], calibration: Calibration) -> None:
        self.bundle = bundle
        self.calibration = calibration
        self.choices = choose(calibration.cells, SIZES)
        self._width = len(bundle.features)
        opened = {(engine.name, engine.threads): engine.predict for engine in engines}
        nearest = [_nearest(self.choices, 1.5 * 2 ** (bits - 1)) for bits in range(BITS)]
        self._rates = [choice.rows_per_second for choice in nearest]
        self._plans = [_plan(choice, self.choices[-1], opened) for choice in nearest]

    @classmethod
    def load(
        cls,
        folder: Path | str | Bundle,
        *,
        threads: int | None = None,
        engines: Sequence[str] = (),
        fresh: bool = False,
    ) -> Self:
        """Open a model folder; measure its engines if this machine has not done so yet (a second or two).

        Parameters
        ----------
        threads
            The most threads one call may use; by default every core that this process may use.
        engines
            Restrict the choice to these; by default every engine that can serve the model.
        fresh
            Measure again.

        Raises
        ------
        ModelError
            If the folder is not a model of ours, is damaged, or no engine can serve it.
        """
        bundle = folder if isinstance(folder, Bundle) else Bundle.load(folder)
        threads = threads or cores()
        path = calibration_file(bundle, threads, engines)
        found = None if fresh else Calibration.load(path)
        if found is None:
            found = calibrate(bundle, threads=threads, names=engines)
            with suppress(OSError):  # a cache that cannot be written costs the measurement again, nothing else
                found.save(path)
        used = {(choice.engine, choice.threads) for choice in choose(found.cells, SIZES)}
        return cls(bundle, [open_engine(name, bundle, threads=count) for name, count in sorted(used)], found)

    def __call__(self, rows: Any) -> Rows:
        """Return the probability for each row.

        Parameters
        ----------
        rows
            float32 array [n, features] in the order of `bundle.names`, NaN = missing; or a Polars or pandas
            frame with those columns.

        Raises
        ------
        DataError
            If the shape or the columns are not those of the model.
        """
        try:
            if rows.dtype != np.float32 or rows.shape[1] != self._width or rows.ndim != 2:
                rows = self._coerce(rows)
        except (AttributeError, IndexError):
            rows = self._coerce(rows)
        count = len(rows)
        predict, chunk = self._plans[count.bit_length()]
        if 0 < count <= chunk:
            return predict(rows)
        return self._in_chunks(rows, chunk)

    @property
    def table(self) -> "pl.DataFrame":
        """Which engine serves how many rows, at what rate, and the reason in words."""
        import polars as pl

        return pl.DataFrame([vars(choice) for choice in self.choices])

    @property
    def measurements(self) -> "pl.DataFrame":
        """Every measurement: engine, threads, batch, rows per second."""
        import polars as pl

        return pl.DataFrame([vars(cell) for cell in self.calibration.cells])

    @property
    def takes_missing(self) -> bool:
        """Whether the model answers for rows with missing values."""
        return self.calibration.takes_missing

    @property
    def best_batch(self) -> int:
        """The smallest batch that reaches 90 % of the highest rate: larger ones only add waiting."""
        best = max(choice.rows_per_second for choice in self.choices)
        return next(choice.batch for choice in self.choices if choice.rows_per_second >= 0.9 * best)

    def engine_for(self, count: int) -> str:
        """Say in words which engine serves a batch of `count` rows."""
        choice = _nearest(self.choices, max(count, 1))
        threads = f"{choice.threads} thread{'s' if choice.threads > 1 else ''}"
        return f"{choice.engine}, {threads}, chunks of {choice.chunk:,}"

    def seconds(self, count: int) -> float:
        """Return about how long a batch of `count` rows takes."""
        return max(count, 1) / self._rates[count.bit_length()]

    def _in_chunks(self, rows: Rows, chunk: int) -> Rows:
        predict, _ = self._plans[chunk.bit_length()] if len(rows) else (None, 0)
        out = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), chunk):
            part = rows[start : start + chunk]
            out[start : start + chunk] = self(part) if len(part) < chunk or predict is None else predict(part)
        return out

    def _coerce(self, rows: Any) -> Rows:
        if not isinstance(rows, np.ndarray):
            return from_frame(rows, self.bundle.names)
        if rows.ndim != 2 or rows.shape[1] != self._width:
            msg = f"rows must be [n, {self._width}], found {list(rows.shape)}"
            raise DataError(msg, mend=f"the features in order: {', '.join(self.bundle.names[:5])}, …")
        return np.ascontiguousarray(rows, dtype=np.float32)


def _nearest(choices: Sequence[Choice], count: float) -> Choice:
    """Return the choice of the nearest measured size on a logarithmic scale."""
    return min(choices, key=lambda choice: abs(np.log(choice.batch / count)))


def _plan(choice: Choice, last: Choice, opened: dict[tuple[str, int], Predict]) -> tuple[Predict, int]:
    """Return what to call and the largest batch to call it with at once."""
    whole = choice.chunk == choice.batch and choice is not last
    return opened[choice.engine, choice.threads], 2**BITS if whole else choice.chunk
