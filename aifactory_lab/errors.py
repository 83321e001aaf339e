r"""Errors that help: what was wrong, the value, and the line to paste that mends it.

Every error that the house raises on purpose is a `FactoryError`; anything else that escapes is a bug. This
module does not know who raises what.

>>> str(DataError("flights.parquet has no column 'origin'", mend="datasets.load('flights')"))
"flights.parquet has no column 'origin'\n  mend: datasets.load('flights')"
"""

import importlib
from types import ModuleType

MOST_LETTERS = 8_000


class FactoryError(Exception):
    """A mistake that a user can mend.

    Parameters
    ----------
    what
        What was wrong, with the value found.
    mend
        The line to paste or the thing to do that fixes it; shown on a line of its own.
    """

    def __init__(self, what: str, *, mend: str = "") -> None:
        self.what, self.mend = _readable(what), _readable(mend)
        super().__init__(f"{self.what}\n  mend: {self.mend}" if mend else self.what)


def _readable(text: str) -> str:
    """Return what can be printed and read: an error may quote a file of megabytes, or halves of characters."""
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS // 2]} … {text[-MOST_LETTERS // 4 :]}"


class DeviceError(FactoryError):
    """A device was asked for that is not there."""


class DataError(FactoryError):
    """Raw material or an artefact does not keep its contract."""


class ModelError(FactoryError):
    """A model is missing, damaged, or not one of ours."""


class WorkspaceError(FactoryError):
    """The run folder cannot be read or written."""


class TelemetryError(FactoryError):
    """A source of readings cannot be opened, or a recording cannot be read."""


class FleetError(FactoryError):
    """A job, a project or a scheduler is not as it was asked for."""


class TwinError(FactoryError):
    """A plant was described that cannot be, or a figure is missing that its twin needs."""


class MissingPackageError(FactoryError, ImportError):
    """An optional package is not installed."""


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional package, or say how to install it.

    Parameters
    ----------
    module
        Import name, for example ``"cuml"``.
    extra
        The extra of this project that brings it: ``"gpu"``, ``"dev"``, …

    Raises
    ------
    MissingPackageError
        With the install line.

    Examples
    --------
    >>> require("math", extra="gpu").pi > 3
    True
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        msg = f"{module} is not installed ({error})"
        raise MissingPackageError(msg, mend=f"pip install 'aifactory-lab[{extra}]'") from error
