"""One leader among the processes of a machine and a user: a private folder, and a lock that dies with its holder.

The lock is the kernel's (`flock`): it is let go when its holder ends, `kill -9` included, and only then; a
process that hangs keeps it. Nobody waits for it: who does not lead asks again at its next tick. What the leader
does is not known here.

>>> import tempfile
>>> first, second = (Lock(Path(tempfile.gettempdir()) / f"doctest-{os.getpid()}.lock") for _ in range(2))
>>> first.take(), second.take(), second.holder == os.getpid()
(True, False, True)
>>> first.release()
>>> second.take()
True
>>> second.release()
>>> second.path.unlink()
"""

import fcntl
import os
import stat
import tempfile
import weakref
from pathlib import Path

from aifactory_lab.errors import TelemetryError

NAME = "aifactory_lab"


def runtime_folder(folder: Path | str | None = None) -> Path:
    """Return a folder that only this user can enter, made if need be.

    By default it is below ``$XDG_RUNTIME_DIR`` (in memory, and gone with the session), else in the temporary folder.

    Raises
    ------
    TelemetryError
        If it belongs to somebody else, is a link, or lets others in: what lies there could not be believed.
    """
    path = Path(folder) if folder is not None else _usual_folder()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        msg = f"cannot use {path} for what processes share: {error.strerror}"
        raise TelemetryError(msg, mend="Shared(source, folder=a folder of your own)") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        msg = f"{path} is not a folder of yours (it belongs to user {found.st_uid}); what lies there is not believed"
        raise TelemetryError(msg, mend="Shared(source, folder=a folder of your own)")
    if found.st_mode & 0o077:
        msg = f"{path} lets others in (mode {stat.S_IMODE(found.st_mode):o})"
        raise TelemetryError(msg, mend=f"chmod 700 {path}")
    return path


def _usual_folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    # under sudo the variable may still name the caller's folder, in which root should leave nothing
    if runtime and Path(runtime).is_dir() and Path(runtime).stat().st_uid == os.geteuid():
        return Path(runtime) / NAME
    return Path(tempfile.gettempdir()) / f"{NAME}-{os.geteuid()}"


def boot() -> str:
    """Return what identifies this boot of the machine, so that nothing from before it is believed."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import psutil

        return str(int(psutil.boot_time()))


def lives(pid: int, since: float) -> bool:
    """Tell whether a process that ran at `since` (seconds since the epoch) still does, and is no later namesake.

    One that has ended, and whose parent has not asked for it yet, does not live.
    """
    import psutil

    try:
        found = psutil.Process(pid)
        return bool(found.create_time() <= since + 1.0 and found.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, ValueError, OverflowError):  # the last two: no process can have such a number
        return False


class Lock:
    """An exclusive lock on a file, held by at most one object of all processes.

    Parameters
    ----------
    path
        The file; it is made if need be and never removed, for a removed file can be locked twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        _LOCKS.add(self)

    @property
    def held(self) -> bool:
        """Whether this object holds the lock; not if the file was removed under it (a tidied temporary folder)."""
        if self._handle is not None and not self._in_place(self._handle):
            self.release()
        return self._handle is not None

    @property
    def holder(self) -> int:
        """The process that took the lock last, 0 if that is not known; only for telling people."""
        try:
            return int(self.path.read_text() or 0)
        except (OSError, ValueError):
            return 0

    def take(self) -> bool:
        """Try once, without waiting; return whether it is held now.

        Raises
        ------
        TelemetryError
            If the file cannot be opened, or its file system does not lock.
        """
        if self.held:
            return True
        try:
            self._handle = self._try()
        except OSError as error:
            msg = f"cannot lock {self.path}: {error.strerror}"
            raise TelemetryError(msg, mend="Shared(source, folder=a folder on a local disk)") from error
        return self.held

    def release(self) -> None:
        """Let go; may be called twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def _try(self) -> int | None:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if isinstance(error, BlockingIOError):
                return None
            raise
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        return handle

    def _in_place(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), self.path.stat())
        except OSError:
            return False


_LOCKS: "weakref.WeakSet[Lock]" = weakref.WeakSet()


def _forget() -> None:
    """Drop in a forked child the handles that it inherited: they would keep the lock when the parent is dead."""
    for lock in list(_LOCKS):
        lock.release()


os.register_at_fork(after_in_child=_forget)
