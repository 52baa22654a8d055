"""What both twins of the core promise, and the orders they take.

Times and durations are nanoseconds of the monotonic clock, as `int`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from gcctl._core.records import Event, Snapshot, Tally

NEVER = 0
"""As a number of requests between two collections: not on any schedule."""


class Orders(NamedTuple):
    """What a core is to do at boundaries."""

    every: tuple[int, int, int] = (NEVER, NEVER, NEVER)
    """Requests between two collections of generation 0, 1 and 2."""
    report_every: int = NEVER
    """Requests between two status reports."""
    recycle_after: int = NEVER
    """Requests after which to advise that the worker be recycled."""
    young_after: int = NEVER
    """Net allocations of tracked objects since the last collection, as counted by `gc.get_count()`.
    From this number on, generation 0 is due at a boundary. A boundary with a check leaves this to
    the receiver of "check"."""
    check_interval_ns: int = -1
    """Shortest time between two checks, which come at boundaries; -1: no checks."""
    emergency_interval_ns: int = -1
    """Shortest time between two emergency collections, which failing requests ask for; -1: none."""
    emergency_generation: int = 2
    """The generation that an emergency collection collects."""
    max_pause_ns: int = (1 << 63) - 1
    """A pause longer than this is told of."""
    concurrent: bool = False
    """Whether a full collection that is due is told of ("full"), and not run by the core."""
    external: bool = True
    """Whether to record collections that gcctl did not cause: automatic and explicit ones."""
    tell_external: bool = False
    """Whether to tell of those collections too."""


Kind = Literal[
    "long_pause", "report", "recycle", "check", "full", "sweep_step", "external", "explicit_full"
]
"""What a core tells of.

At a boundary, outside any collection:

- "long_pause": a collection has paused the process for longer than `max_pause_ns`; with its event.
- "report": a status report is due.
- "recycle": advice to recycle this worker is due.
- "check": memory, settings and policy are to be checked.
- "full": a full collection is due, and is to run concurrently.
- "sweep_step": every boundary while `want_sweep_steps` is on, except those that tell "full".

In a gc callback, and so in the middle of anything:

- "explicit_full": an explicit full collection of the program begins.
- "external": a collection has ended that gcctl did not cause; with its event.
"""

Notify = Callable[[Kind, Event | None], object]
"""What a core calls to tell. An exception that it raises is logged and counted as a fault."""


class Entry(Protocol):
    """A request that began in one place and ends in another.

    An entry that nobody refers to any more has ended too.
    """

    @property
    def gc_pause_ns(self) -> int:
        """Nanoseconds for which collections have stopped the process inside this request so far.

        After the boundary it stays as it was then. Collections that gcctl did not cause are in it
        under `monitoring` and `auto` only. It is 0 where gcctl is not installed.
        """

    @property
    def left(self) -> bool:
        """Whether its boundary was passed. Also True in a forked child for a request of the parent,
        whose boundary is the parent's."""

    def fail(self, exc: BaseException) -> None:
        """Note that the request has failed with `exc`.

        The caller of `leave` may not see the exception, because a framework has made a response of
        it. Only its type is kept: the traceback would keep objects alive. A BaseException that is
        no Exception does not count as a failure: the request was cancelled, or its process is about
        to end.
        """

    def leave(self, exc: BaseException | None = None) -> None:
        """The boundary: the request is over. It has failed if `exc` is an Exception, or if `fail`
        was called with an Exception. A second call does nothing."""


class Core(Protocol):
    """The part of gcctl that sits on the request boundary.

    One core per process does the work (`gcctl._process.twins`). Tests and simulations drive others
    by hand. For them, `collect` stands in for `gc.collect`, `clock` for the monotonic clock,
    `count` for the first number of `gc.get_count()`, and the list `callbacks` for `gc.callbacks`.

    Its counts are exact under threads: each step of the counting runs while the GIL is held.
    """

    implementation: Literal["c", "python"]

    def __init__(
        self,
        *,
        collect: Callable[[int], int] | None = None,
        clock: Callable[[], int] | None = None,
        count: Callable[[], int] | None = None,
        callbacks: list[Any] | None = None,
    ) -> None: ...

    def request(self, func: Any = None, /) -> Any:
        """The context manager of a request; or, given a function, that function as a request."""

    def enter(self, context: Any = None, /) -> Any:
        """A request begins. Returns the context manager."""

    def exit(self, exc_type: Any, exc: Any, traceback: Any, behind_context: Any = ..., /) -> None:
        """A request ends: one boundary. Does nothing when no request is in flight.

        `enter` and `exit` may be called with the context manager in front of their arguments. That
        is what `ExitStack` does, because it expects to find methods on a type.
        """

    def begin(self) -> Entry:
        """A request begins that will end in another place. Returns its entry."""

    def due(self) -> bool:
        """Whether a boundary here and now would do more than count."""

    def tick(self) -> None:
        """A boundary without a context: one unit of work is done."""

    def start(self, orders: Orders, notify: Notify) -> None:
        """Follow these orders at boundaries from now on. All counters begin at 0."""

    def stop(self) -> bool:
        """Do nothing at boundaries any more. Returns False if our gc callback had been removed by
        somebody else meanwhile."""

    def collect(self, generation: int, reason: int, action: Callable[[], int] | None = None) -> int:
        """Collect now, and record it. `reason` is an index into `REASONS`.

        Returns the number of unreachable objects found; -1 if it could not collect, because another
        collection was running. With an `action`, that is run in place of the collection, and must
        return the same. Raises ValueError for a generation or reason that does not exist.
        """

    def explicit(self, on: bool) -> None:
        """In this thread, the program calls `gc.collect()` now; or that call has ended.

        Without these calls the core has to guess which collections of others are explicit: those
        that automatic GC would not have begun, by its counts and thresholds.
        """

    def want_sweep_steps(self, on: bool) -> None:
        """Tell of "sweep_step" at every boundary, or not any more."""

    def check_after(self, intervals: int) -> None:
        """The next check comes after so many times `check_interval_ns`; 0: at the next boundary."""

    def snapshot(self) -> Snapshot:
        """All counters at this moment."""

    def tallies(self) -> tuple[Tally, ...]:
        """The most important counters of each generation, in a fraction of a snapshot's time."""

    def paused_ns(self) -> int:
        """The sum of all recorded pauses since the start. It is cheap, because requests read it."""

    def allocated(self) -> int:
        """Net allocations of tracked objects since the start, up to the last collection.

        It is the sum of what `gc.get_count()` said before each collection; 0 without `young_after`.
        """

    def boundaries(self) -> int:
        """Boundaries passed since the start."""

    def in_flight(self) -> int:
        """Requests entered and not left."""

    def events(self) -> tuple[Event, ...]:
        """The last collections, oldest first, at most `RING_SIZE` of them."""

    def now(self) -> int:
        """The monotonic clock, in nanoseconds."""

    def tell_long_pause(self) -> None:
        """Tell now of the longest pause that came between boundaries, if it was too long.

        Otherwise the next boundary tells of it.
        """

    def attached(self) -> bool:
        """Whether our gc callback is where it belongs."""

    def collecting(self) -> bool:
        """Whether a collection is running, in any thread, as far as our callback tells."""

    def busy_elsewhere(self) -> bool:
        """True while another thread is in the middle of a collection.

        It finds out by collecting generation 0, which is not recorded.
        """

    def hold(self) -> None:
        """Postpone the collections of boundaries until `release`: for a fork, or `gcctl.hold()`.

        Each call needs a `release` of its own.
        """

    def release(self) -> None:
        """The fork is over (in the parent), or the section of `gcctl.hold()`."""

    def follow_forks(self, put_right: Callable[[], object]) -> None:
        """Have `put_right()` called once in each forked child, which calls `after_fork()`.

        For the core of the process only. The child finds out at its first boundary, or when
        `notice_fork()` is called. So no hook has to run at the fork.
        """

    def notice_fork(self) -> None:
        """In a forked child: have it put right, if that has not been done. Else do nothing."""

    def after_fork(self) -> None:
        """In the child: all counters are 0, no request is in flight, nothing is held, and the
        schedule begins anew."""
