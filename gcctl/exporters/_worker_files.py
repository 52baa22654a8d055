"""The readings of all workers of a server: each has a file of fixed size in a common directory.

A worker holds the lock on its file as long as it lives. When it dies, in whatever way, the system
releases the lock. A new worker takes the first file without a lock, and counts on from what it
finds there. So counters never get less, and there are never more files than there were workers at
the same time.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import Final, NamedTuple

from gcctl._base import log
from gcctl._base.clock import monotonic, sleep
from gcctl._base.errors import GcctlError
from gcctl._lifecycle.controller import Controller
from gcctl._process.forked import in_child
from gcctl.exporters import _record_format
from gcctl.exporters._reading import NOTHING, Reading, negative, total
from gcctl.exporters._totals import Totals

try:
    import fcntl
except ImportError:  # Windows
    HAS_LOCKS = False
else:
    HAS_LOCKS = True
    FLAGS: Final = os.O_CLOEXEC | os.O_NONBLOCK
    """O_NONBLOCK in case a pipe has the name of such a file: opening it must not wait."""

PASSES: Final = 3
"""How often to search for a file without a lock before a new one is made. More than once, because a
reader locks each file for a moment."""
PAUSE_SECONDS: Final = 0.0005

THIS_WORKER: Final = "this worker"

PATIENCE_SECONDS: Final = 1.0
"""How long the end of a controller waits for another thread that is writing."""


class Worker(NamedTuple):
    """The content of one file."""

    number: str
    reading: Reading
    alive: bool
    """Whether the worker that has written it lives."""


class WorkerFile:
    """This process's file in a directory. A forked child takes one of its own.

    Raises GcctlError where the system has no file locks. A missing directory is only logged: it may
    come later, and no server shall fail to start because of its metrics.
    """

    def __init__(self, directory: str) -> None:
        if not HAS_LOCKS:
            raise GcctlError("metrics of several processes need flock(), which is not here")
        self._directory = Path(directory)
        self._left_out: set[object] = set()
        self._forget()
        if not os.path.isdir(directory):
            self.leave_out(THIS_WORKER, f"no such directory: {directory!r}")

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._file = -1
        self._identity = (0, 0)
        self._records = 0
        self._before = NOTHING
        """What was in the file when this process took it."""
        self._totals = Totals()
        self._own = NOTHING
        """What of the totals is in the file."""
        self._ended: Controller | None = None
        self.tried_at = float("-inf")
        """When it was last written, or could not be."""

    def after_fork(self) -> None:
        """In the child: without this it would hold the lock of its parent too."""
        if self._is_held():
            os.close(self._file)
        self._forget()

    def write(self, controller: Controller, *, ended: bool = False) -> None:
        """Write what the controller has counted. When it has `ended`, it is read for the last time.

        Does nothing while another thread writes. An error of the system is only logged: the metrics
        of the other workers are still useful.
        """
        self._totals.include(controller)
        lock = self._lock
        if not lock.acquire(timeout=PATIENCE_SECONDS if ended else 0):
            return
        try:
            if controller is self._ended:
                return
            self.tried_at = monotonic.seconds()
            self._totals.update()
            if not self._is_held():
                self._take()
            own = self._totals.counted
            counted = total([self._before, own])
            if not ended:
                counted = counted._replace(gauges=own.gauges, info=own.info)
            self._store(counted)
            self._own = own
            self._ended = controller if ended else None
        except OSError as error:
            self.leave_out(THIS_WORKER, error)
        finally:
            lock.release()

    def workers(self) -> Iterator[Worker]:
        """What every worker has written, dead workers too. Bad files are left out."""
        # Not Path.glob(): before Python 3.13 it raises for a directory that cannot be read.
        for name in sorted(glob("gcctl-*.worker", root_dir=self._directory)):
            path = self._directory / name
            try:
                yield _read(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                self.leave_out(path, error)

    def leave_out(self, whose: object, error: object) -> None:
        """Log that a file is left out, once for each file."""
        if whose not in self._left_out:
            self._left_out.add(whose)
            with suppress(Exception):  # a broken logging setup must not break the scrape
                log.warning("metrics without those of %s: %s", whose, error)

    def _is_held(self) -> bool:
        """Whether this process has a file, and the file is still in the directory."""
        if self._file < 0:
            return False
        try:
            now = os.fstat(self._file)
            same = (now.st_dev, now.st_ino) == self._identity
        except OSError:
            same = False
        if same and now.st_nlink:
            return True
        if same:  # somebody has emptied the directory
            os.close(self._file)
        else:
            # Somebody has closed all descriptors. The file is still there, as that of a dead
            # worker, with what this one has counted.
            self._before, self._own = negative(self._own), NOTHING
        self._file = -1
        return False

    def _take(self) -> None:
        for left in reversed(range(PASSES)):
            number = 0
            while self._is_taken(number, create=not left):
                number += 1
            if self._file >= 0:
                return
            sleep(PAUSE_SECONDS)

    def _is_taken(self, number: int, *, create: bool) -> bool:
        """Whether the file of that number has an owner. If not, and it exists, we own it now."""
        path = self._directory / f"gcctl-{number}.worker"
        try:
            file = os.open(path, os.O_RDWR | FLAGS | (os.O_CREAT if create else 0), 0o666)
        except FileNotFoundError:
            if create:  # the directory is gone
                raise
            return False
        except OSError:
            if os.path.lexists(path):  # another user's file, or something else of that name
                return True
            raise
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode) or not _lock(file, exclusive=True):
                os.close(file)
                return True
            self._records, before = _taken_over(file)
        except BaseException:
            os.close(file)
            raise
        self._before = total([before, self._before])
        self._file, self._identity = file, (found.st_dev, found.st_ino)
        return False

    def _store(self, reading: Reading) -> None:
        _record_format.write(self._file, self._records + 1, reading)
        self._records += 1


def _read(path: Path) -> Worker:
    """Read a worker's file. Raises OSError, and ValueError for another version."""
    file = os.open(path, os.O_RDONLY | FLAGS)
    try:
        _, reading = _record_format.newest(os.read(file, _record_format.FILE_BYTES))
        return Worker(path.stem.removeprefix("gcctl-"), reading, alive=not _lock(file))
    finally:
        os.close(file)


def _taken_over(file: int) -> tuple[int, Reading]:
    """The last record of a dead worker. One of another version counts as none."""
    try:
        return _record_format.newest(os.pread(file, _record_format.FILE_BYTES, 0))
    except ValueError:
        os.ftruncate(file, 0)  # else its high number would hide our first records
        return 0, NOTHING


def _lock(file: int, *, exclusive: bool = False) -> bool:
    """Lock the file until it is closed. False where somebody else holds the lock."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_files: dict[str, WorkerFile] = {}


def worker_file(directory: str | os.PathLike[str]) -> WorkerFile:
    """The file of this process in that directory. Raises GcctlError, as `WorkerFile`."""
    path = os.path.realpath(directory)
    if path not in _files:
        _files[path] = WorkerFile(path)
    return _files[path]


def _after_fork() -> None:
    for file in tuple(_files.values()):
        file.after_fork()


in_child(_after_fork)
