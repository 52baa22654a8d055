"""The readings of all workers of a server: a file of fixed size for each, in a directory of theirs.

A worker holds the lock on its file as long as it lives; the system lets go of it when the worker
dies, however it dies. A new worker takes the first file that nobody holds and counts on from what
is in there. So nothing that was counted ever gets less, and there are never more files than there
were workers at once.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import Final, NamedTuple

from gcctl._base.errors import GcctlError
from gcctl._lifecycle.controller import Controller
from gcctl.exporters import _records
from gcctl.exporters._reading import NOTHING, Reading, negative, total
from gcctl.exporters._tally import Tally

try:
    import fcntl
except ImportError:  # Windows
    HAS_LOCKS = False
else:
    HAS_LOCKS = True
    FLAGS: Final = os.O_CLOEXEC | os.O_NONBLOCK
    """The second for pipes with the name of such a file: nobody shall wait for the other end."""

logger = logging.getLogger("gcctl")

PASSES: Final = 3
"""How often to look for a file that nobody holds before a new one is made: who reads the files
holds each for a moment."""
PAUSE_SECONDS: Final = 0.0005

THIS_WORKER: Final = "this worker"

PATIENCE_SECONDS: Final = 1.0
"""How long the end of a controller waits for another thread that is writing."""


class Worker(NamedTuple):
    """What a file says."""

    number: str
    reading: Reading
    alive: bool
    """Whether its last worker still is."""


class WorkerFile:
    """This process's file in a directory. A forked child takes one of its own.

    Raises GcctlError where there are no file locks on this system. A missing directory is only
    logged: it may come, and no server shall fail to start for its metrics.
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
        """What was in the file when it was taken."""
        self._tally = Tally()
        self._own = NOTHING
        """What of the tally is in the file."""
        self._ended: Controller | None = None
        self.tried_at = float("-inf")
        """When it was last written, or could not be."""

    def after_fork(self) -> None:
        """In the child: else it would hold the lock of its parent, too."""
        if self._is_held():
            os.close(self._file)
        self._forget()

    def write(self, controller: Controller, *, ended: bool = False) -> None:
        """Make known what the controller has counted; once it has `ended`, it is not asked again.

        Left out while another thread is at it. What the system refuses is only logged: the others'
        metrics are worth having all the same.
        """
        self._tally.note(controller)
        lock = self._lock
        if not lock.acquire(timeout=PATIENCE_SECONDS if ended else 0):
            return
        try:
            if controller is self._ended:
                return
            self.tried_at = time.monotonic()
            self._tally.look()
            if not self._is_held():
                self._take()
            own = self._tally.counted
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
        """What every worker has made known, dead ones too; without those whose file is bad."""
        # Not Path.glob(), which raises for a directory out of reach, before Python 3.13.
        for name in sorted(glob("gcctl-*.worker", root_dir=self._directory)):
            path = self._directory / name
            try:
                yield _read(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                self.leave_out(path, error)

    def leave_out(self, whose: object, error: object) -> None:
        """Log that, once for each file."""
        if whose not in self._left_out:
            self._left_out.add(whose)
            with suppress(Exception):  # a broken logging setup must not break the scrape
                logger.warning("metrics without those of %s: %s", whose, error)

    def _is_held(self) -> bool:
        """Do we hold a file that others find?"""
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
            # Somebody has closed all descriptors. The file is there as that of a dead worker, and
            # what this one has counted is in it.
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
            time.sleep(PAUSE_SECONDS)

    def _is_taken(self, number: int, *, create: bool) -> bool:
        """Whether a file is somebody's; when it is not, it is ours now, if there is one."""
        path = self._directory / f"gcctl-{number}.worker"
        try:
            file = os.open(path, os.O_RDWR | FLAGS | (os.O_CREAT if create else 0), 0o666)
        except FileNotFoundError:
            if create:  # the directory is gone
                raise
            return False
        except OSError:
            if os.path.lexists(path):  # somebody else's, or no file
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
        _records.write(self._file, self._records + 1, reading)
        self._records += 1


def _read(path: Path) -> Worker:
    """Raises OSError, and ValueError for what is of another version."""
    file = os.open(path, os.O_RDONLY | FLAGS)
    try:
        _, reading = _records.newest(os.read(file, _records.FILE_BYTES))
        return Worker(path.stem.removeprefix("gcctl-"), reading, alive=not _lock(file))
    finally:
        os.close(file)


def _taken_over(file: int) -> tuple[int, Reading]:
    """The last record of a dead worker; one of another version is as good as none."""
    try:
        return _records.newest(os.pread(file, _records.FILE_BYTES, 0))
    except ValueError:
        os.ftruncate(file, 0)  # else it would outlive the first records of ours, by its number
        return 0, NOTHING


def _lock(file: int, *, exclusive: bool = False) -> bool:
    """False: somebody else holds it. It is held until the file is closed."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_files: dict[str, WorkerFile] = {}


def worker_file(directory: str | os.PathLike[str]) -> WorkerFile:
    """The one of this process in that directory. Raises GcctlError, as `WorkerFile`."""
    path = os.path.realpath(directory)
    if path not in _files:
        _files[path] = WorkerFile(path)
    return _files[path]


def _after_fork() -> None:
    for file in tuple(_files.values()):
        file.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
