"""What both twins of the core promise, and what they are told to do.

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
    """Net allocations of tracked objects since the last collection, as `gc.get_count()` has them,
    from which on generation 0 is due at a boundary; but at one with a look, which sees to that."""
    check_interval_ns: int = -1
    """Shortest time between two boundaries at which memory and settings are looked at; -1: none."""
    emergency_interval_ns: int = -1
    """Shortest time between two collections for failing requests; -1: none."""
    emergency_generation: int = 2
    """What is collected for one."""
    max_pause_ns: int = (1 << 63) - 1
    """What pause is to be told of: any longer one."""
    concurrent: bool = False
    """Whether to tell of full collections that are due, in place of running them."""
    external: bool = True
    """Whether to record the collections that others cause."""
    tell_external: bool = False
    """Whether to tell of them, each when it has ended."""


Kind = Literal[
    "long_pause", "report", "recycle", "check", "full", "sweep_step", "external", "external_full"
]
Notify = Callable[[Kind, Event | None], object]
"""What a core calls at a boundary, outside any collection: when one has paused the process for
longer than allowed (with the event), when a status report or advice to recycle is due, when it is
time to look at memory and settings, when a concurrent full collection is due, and at every boundary
while somebody attends to one. In a gc callback, and so in the middle of anything: when a collection
of somebody else has ended (with the event), and when a full one begins. What it raises is a fault.
"""


class Entry(Protocol):
    """A request that began in one place and ends in another. Dropped, it has ended too."""

    @property
    def gc_pause_ns(self) -> int:
        """Nanoseconds for which collections have stopped the process inside this request, up to now
        or up to its boundary. Others' collections are in it under `monitoring` and `auto` only; 0
        where gcctl is not installed."""

    @property
    def left(self) -> bool:
        """Whether its boundary was passed, or will be in the process that has forked this one."""

    def fail(self, exc: BaseException) -> None:
        """Note that it has failed with `exc`, for whoever leaves it may not see that: a framework
        has made a response of it. Only the type is kept, not what hangs on the traceback. What is
        no Exception has ended it from outside: it was cancelled, or its process is about to end."""

    def leave(self, exc: BaseException | None = None) -> None:
        """The boundary: the request is over, and failed if `exc` says so or did before. A second
        call does nothing."""


class Core(Protocol):
    """The part of gcctl that sits on the request boundary.

    One per process does the work (`gcctl._process.twins`). `collect`, `clock`, `count`, `callbacks`
    are there to drive one by hand: a function in place of `gc.collect`, one in place of the
    monotonic clock, one in place of `gc.get_count` that returns the first of its three, a list in
    place of `gc.callbacks`.

    Exact under threads because each step of the counting runs while the GIL is held.
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

        Both may be called with the context manager in front of their arguments, which `ExitStack`
        does because methods are what it expects to find on a type.
        """

    def begin(self) -> Entry:
        """A request begins, whose end is not in the same place."""

    def due(self) -> bool:
        """Whether a boundary here and now would do more than count."""

    def tick(self) -> None:
        """A boundary without a context: one unit of work is done."""

    def start(self, orders: Orders, notify: Notify) -> None:
        """Act at boundaries from now on, with clean counters."""

    def stop(self) -> bool:
        """Act no more. False when somebody had removed our gc callback meanwhile."""

    def collect(self, generation: int, reason: int, action: Callable[[], int] | None = None) -> int:
        """Collect now and record it, for the reason of that index.

        Returns the number of unreachable objects found, -1 when a collection already running made
        it impossible. An `action` is run in place of the collection, and must return the same.
        """

    def freeze(self) -> int:
        """Collect generation 0, and call `gc.freeze()` before anything else can come in between (in
        the Python twin other threads can): what was garbage would stay. Returns as `collect`."""

    def want_sweep_steps(self, on: bool) -> None:
        """Tell ("sweep_step") at every boundary, or not any more."""

    def check_after(self, intervals: int) -> None:
        """The next look comes after so many of `check_interval_ns`; 0: at the next boundary."""

    def snapshot(self) -> Snapshot: ...

    def tallies(self) -> tuple[Tally, ...]:
        """For each generation; a fraction of what a snapshot takes."""

    def paused_ns(self) -> int:
        """Pauses since the start, whoever caused them. As cheap as a call: requests read it."""

    def allocated(self) -> int:
        """Net allocations of tracked objects, as `gc.get_count()` had them before each collection,
        summed up since the start; 0 without `young_after`."""

    def boundaries(self) -> int:
        """Passed since the start."""

    def in_flight(self) -> int:
        """Requests entered and not left."""

    def events(self) -> tuple[Event, ...]:
        """The last collections, oldest first; at most `RING_SIZE`."""

    def now(self) -> int:
        """The monotonic clock."""

    def tell_long_pause(self) -> None:
        """Tell now of a long pause that was not a boundary's, and not only at the next boundary."""

    def attached(self) -> bool:
        """Whether our gc callback is where it belongs."""

    def collecting(self) -> bool:
        """Whether a collection is running, in any thread, as far as our callback tells."""

    def busy_elsewhere(self) -> bool:
        """True while another thread is in the middle of a collection.

        Finds out by running one of generation 0, unrecorded.
        """

    def hold(self) -> None:
        """A fork is coming: until `release`, boundaries owe their collections. Holds add up."""

    def release(self) -> None:
        """The fork is over, in the parent."""

    def after_fork(self) -> None:
        """In the child: clean counters, no requests in flight, everything due counted anew."""
