"""The pure-Python twin of compiled_entry.pxi: a request that ends in another place."""

from __future__ import annotations

from typing import Protocol


class Core(Protocol):
    """What an entry needs of the core that has begun it."""

    forks: int

    def notice_fork(self) -> None: ...
    def enter(self) -> object: ...
    def exit(self, exc_type: type[Exception] | None, exc: None, traceback: None, /) -> None: ...
    def paused_ns(self) -> int: ...


class Entry:
    """As `Entry` in protocol.py."""

    __slots__ = ("_core", "_failure", "_forks", "_over", "_pauses_ns")

    _core: Core
    _failure: type[Exception] | None
    _forks: int  # of the process in which it is in flight
    # While it is in flight: all pauses of the process before it began. After that: those inside it.
    _pauses_ns: int
    _over: bool

    def __new__(cls, core: Core | None = None, pauses_ns: int = 0) -> Entry:
        """An entry that begins now; without a core, an entry that is over."""
        self = super().__new__(cls)
        self._over = True
        self._pauses_ns = pauses_ns
        self._failure = None
        if core is not None:
            core.notice_fork()
            self._core = core
            self._forks = core.forks
            self._pauses_ns = core.paused_ns()
            core.enter()
            self._over = False
        return self

    def __reduce__(self) -> tuple[type[Entry], tuple[None, int]]:
        """A copy is an entry that is over."""
        return Entry, (None, self.gc_pause_ns)

    @property
    def gc_pause_ns(self) -> int:
        before_ns = self._pauses_ns
        if self._over:
            return self._pauses_ns
        # Installing gcctl in the middle of a request sets the sum to 0.
        return max(self._core.paused_ns() - before_ns, 0)

    @property
    def left(self) -> bool:
        if not self._over:
            self._core.notice_fork()
        return self._over or self._forks != self._core.forks

    def fail(self, exc: BaseException) -> None:
        if isinstance(exc, Exception):
            self._failure = type(exc)

    def leave(self, exc: BaseException | None = None) -> None:
        if exc is not None:
            self.fail(exc)
        if self._over:
            return
        self._core.notice_fork()
        failure, paused_ns = self._failure, self._core.paused_ns()
        # From here to the core nothing is called, so no other thread and no signal gets in between.
        if self._over or self._forks != self._core.forks:
            return
        self._over = True
        self._pauses_ns = paused_ns - self._pauses_ns if paused_ns > self._pauses_ns else 0
        self._core.exit(failure, None, None)

    def __del__(self) -> None:
        # A response that its server has dropped and not closed, a coroutine that nobody finished.
        self.leave()
