"""Workers of one server run their full collections one after the other, not all at the same time.

The token is a record lock on a file (`fcntl`). The lock belongs to one process only: forked
children, and the child of a concurrent collection, inherit the descriptor but not the lock. The
kernel releases it when the process ends, however it ends. Nothing is written to the file.

Nobody waits for the lock. A process that does not get it asks again later, and after `MOST_WAIT_NS`
it goes ahead without the lock.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from gcctl._base import log
from gcctl._base.errors import GcctlError
from gcctl._process.forked import in_child

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HAS_LOCKS = fcntl is not None

AUTO = "auto"

MOST_WAIT_NS = 30 * 10**9
"""How long a full collection that is due waits for those of other processes, at most."""

TAKEN = (errno.EACCES, errno.EAGAIN)
"""The errors that systems give when another process has the lock."""


class Token:
    """The lock on one file. One process at a time can have it."""

    def __init__(self, descriptor: int, reopen: Callable[[], int] | None = None) -> None:
        """`descriptor`: of an open file. `reopen` opens the file again, because the descriptor may
        have been closed, or may be of another file by now."""
        self._reopen = reopen
        self._use(descriptor)

    @classmethod
    def at(cls, path: str, *, others: bool) -> Token:
        """The token of the file at `path`. The file is made if it does not exist. `others`: it may
        belong to another user. Raises OSError."""
        reopen = partial(_open, path, others=others)
        return cls(reopen(), reopen)

    @classmethod
    def without_name(cls) -> Token:
        """The token of this process and of those that it will fork."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("gcctl"))
        import tempfile  # only here: the import takes time

        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def take(self) -> bool:
        """False if another process has it. Raises OSError if the file cannot be used."""
        self._follow()
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in TAKEN:
                return False
            raise
        return True

    def give_back(self) -> None:
        """Let other processes have it."""
        with suppress(OSError):
            if self._is_open():
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give it back for good, and close the file."""
        with suppress(OSError):
            if self._is_open():
                os.close(self._descriptor)

    def _use(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._identity = _identity(os.fstat(descriptor))

    def _is_open(self) -> bool:
        """Whether the descriptor is still ours. A program may close all descriptors there are."""
        return _identity(os.fstat(self._descriptor)) == self._identity

    def _follow(self) -> None:
        """Use the file that the path names now."""
        if self._reopen is None:
            if not self._is_open():
                raise OSError(errno.EBADF, "its descriptor was closed")
            return
        # A cleaner of temporary files may have removed the file. Workers that start later then make
        # a new one.
        descriptor = self._reopen()
        self.close()
        self._use(descriptor)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _open(path: str, *, others: bool) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = -1
    while descriptor < 0:
        # In a directory such as /tmp, systems may refuse O_CREAT for a file of another user.
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            with suppress(FileExistsError):  # another process was faster
                descriptor = _create(path, flags, others=others)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or (not others and status.st_uid != os.geteuid()):
        os.close(descriptor)
        raise OSError(errno.EPERM, "not a regular file of this user", path)
    return descriptor


def _create(path: str, flags: int, *, others: bool) -> int:
    # Exclusively: if another user has put a file there, its mode is not ours to change.
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if others:
            os.fchmod(descriptor, 0o666)  # whatever the umask: nothing is ever in the file
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def path_of_user() -> str:
    """The lock file of all processes of one user on this machine, if they share no master."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime):
        return os.path.join(runtime, "gcctl.lock")
    import tempfile

    return os.path.join(tempfile.gettempdir(), f"gcctl-{os.geteuid()}.lock")


class Turn:
    """Whether it is this process's turn for a full collection. Without `stagger` it always is.

    There is no lock between threads. At the worst, two threads lead to a collection without the
    token.
    """

    def __init__(self) -> None:
        self._token: Token | None = None
        self._inherited: Token | None = None
        self._held = False
        self._broken = False
        self.went_ahead = 0
        """Full collections since `install()` that waited in vain and went ahead."""

    @property
    def shared(self) -> bool:
        """Whether "auto" means the token of the pre-fork master."""
        return self._inherited is not None

    def share_with_children(self) -> None:
        """In a pre-fork master: make the token that "auto" means in the processes that it forks.
        Raises OSError."""
        if self._inherited is None and fcntl is not None:
            self._inherited = Token.without_name()

    def installed(self, stagger: str | None) -> None:
        """gcctl is installed with this `stagger`. Raises GcctlError where that is not possible."""
        self.went_ahead = 0
        self._broken = False
        if stagger is None:
            return
        if fcntl is None:
            raise GcctlError(f"stagger={stagger!r}: this system has no record locks")
        if stagger == AUTO and self._inherited is not None:
            self._token = self._inherited
            return
        path = path_of_user() if stagger == AUTO else stagger
        try:
            self._token = Token.at(path, others=stagger != AUTO)
        except OSError as error:
            raise GcctlError(
                f"stagger={stagger!r}: {path!r} cannot be used as a lock file: {error.strerror}"
            ) from error

    def uninstalled(self) -> None:
        token, self._token = self._token, None
        self._held = False
        if token is None:
            return
        token.give_back()
        if token is not self._inherited:
            token.close()

    def comes(self, waited_ns: int) -> bool:
        """Whether it is this process's turn, for a collection that has been due for so long. If so,
        the turn lasts until `over`."""
        token = self._token
        if token is None:
            return True
        try:
            if token.take():
                self._held = True
                return True
        except OSError as error:
            if not self._broken:
                self._broken = True
                with suppress(Exception):  # a broken logging setup must not break anything
                    log.warning("full collections are no longer staggered: %s", error)
            return True
        if waited_ns < MOST_WAIT_NS:
            return False
        self.went_ahead += 1
        return True

    def over(self) -> None:
        """The collection has ended. Does nothing if it did not have the token."""
        token = self._token
        if self._held and token is not None:
            self._held = False
            token.give_back()

    def after_fork(self) -> None:
        """In the child: the token stays with the parent."""
        self._held = False


class InTurn:
    """Full collections of a fixed schedule. Each is begun when it is this process's turn."""

    def __init__(self, begin: Callable[[], bool], boundaries: Callable[[], int]) -> None:
        """`begin()` returns False where it could not begin one. `boundaries()` is the number of
        boundaries up to now."""
        self._begin = begin
        self._boundaries = boundaries
        self._begun_at = -1
        self._due_ns = 0  # since when one is due; 0: none is

    def due(self, now_ns: int) -> None:
        """One is due at this boundary."""
        # If one that had been waiting was begun at this very boundary, it counts as this one.
        if self._begun_at != self._boundaries():
            self._due_ns = self._due_ns or now_ns
            self.begin_waiting(now_ns)

    def begin_waiting(self, now_ns: int) -> None:
        """If one waits and its turn has come, begin it."""
        if self._due_ns and turn.comes(now_ns - self._due_ns):
            due_ns, self._due_ns = self._due_ns, 0
            self._begun_at = self._boundaries()
            if not self._begin():
                self._due_ns = due_ns


turn = Turn()
"""Of this process."""

in_child(turn.after_fork)
