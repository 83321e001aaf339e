"""Rates out of counters: what they gained over the time that really went by, for many devices at once.

A counter of 32 bits wraps every fraction of a second on a fast link; where it could have wrapped more than once
between two looks, there is no rate rather than a wrong one. A counter that began anew gives none once. This module
does not know what is counted.

>>> rates = Rates(rows=1, columns=1)
>>> for second, count in ((0.0, 2**32 - 100), (1.0, 400)):
...     now = rates.update(np.array([[count]], np.uint64), np.array([[32]]), np.array([[True]]), np.array([second]))
>>> now.tolist()
[[500.0]]
"""

import numpy as np
from numpy.typing import NDArray

LEAST_SECONDS = 0.01  # a shorter interval says more about the clock than about the link; the rate before it stays
NARROW = np.uint64(2**32)


class Rates:
    """The rates of rows × columns of counters.

    Parameters
    ----------
    top
        Most that a link can do, per second, in the counter's unit, broadcast to (rows, columns); 0: not known, then
        a counter of 32 bits is taken to wrap at most once.

    Attributes
    ----------
    doubtful
        Shape (rows, columns): the counter has 32 bits and may have wrapped more than once since the last look.
    """

    def __init__(self, rows: int, columns: int, top: NDArray[np.float64] | float = 0.0) -> None:
        shape = (rows, columns)
        self.top = np.broadcast_to(np.asarray(top, dtype=np.float64), shape).copy()
        self.doubtful = np.zeros(shape, dtype=bool)
        self._counts = np.zeros(shape, dtype=np.uint64)
        self._times = np.full(shape, np.nan)
        self._rates = np.full(shape, np.nan)
        self._narrow = np.zeros(shape, dtype=bool)

    def update(
        self,
        counts: NDArray[np.uint64],
        bits: NDArray[np.int64],
        present: NDArray[np.bool_],
        times: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Take new counts and return the rates, NaN where there is none (yet).

        Parameters
        ----------
        counts, bits, present
            Shape (rows, columns): what the counters say, how many bits of it count, and whether they were read. One
            that was not read once begins anew.
        times
            Shape (rows,): when each row was read, in seconds of one steady clock.
        """
        elapsed = times[:, None] - self._times
        first, due = present & np.isnan(self._times), present & (elapsed >= LEAST_SECONDS)
        fell = due & (counts < self._counts)
        # A counter said to have 64 bits that falls from the upper half of 32 bits has 32.
        self._narrow |= fell & (self._counts >= NARROW // np.uint64(2)) & (self._counts < NARROW)
        narrow = (bits == 32) | self._narrow
        gained = counts - self._counts  # modulo 2**64
        gained = np.where(narrow, gained & (NARROW - np.uint64(1)), gained)
        self.doubtful = np.where(due, narrow & (self.top * elapsed >= float(NARROW)), self.doubtful & present)
        unknown = self.doubtful | (fell & ~narrow)
        rates = np.divide(gained, elapsed, out=np.full(elapsed.shape, np.nan), where=due & ~unknown)
        self._rates = np.where(due, rates, np.where(present, self._rates, np.nan))
        taken = first | due
        self._counts = np.where(taken, counts, self._counts)
        self._times = np.where(taken, times[:, None], np.where(present, self._times, np.nan))
        return self._rates
