"""The presets: what each named policy does, as data.

`Values` declares every configuration field once, with its type and unit. A `Preset` is a complete
set of them under a name. A `Config` is a set of them that a user has adjusted.

The "source document" is the tutorial chapter on garbage collection in services from which gcctl
comes. Three of the presets keep its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from gcctl._base.record import field_names, record

MIB: Final = 2**20


@record(kw_only=True)
class Values:
    """One normalised value for every configuration field."""

    policy: str
    """Name of the preset that fills in what is not given; a key of `PRESETS`."""

    gen0_every: int | None
    """Requests between two collections of generation 0; None: never."""

    gen1_every: int | None
    """Requests between two collections of generation 1 (and with it 0); None: never."""

    gen2_every: int | None
    """Requests between two full collections; None: never."""

    full_collection: str
    """How full collections run: "stop", or "concurrent" (beside the process, where that is
    possible)."""

    explicit_collect: str
    """What becomes of the full collections that the program asks for by `gc.collect()`. "run": they
    run. "concurrent": they run beside the process, where that is possible. "at most every 60s":
    those that come earlier do nothing. A call that has not collected by itself returns 0."""

    stagger: str | None
    """The lock file that keeps the full collections of several processes apart: the path of a file
    that they share, or "auto" for their master's file or this user's; None: nothing does."""

    automatic_gc: bool | None
    """CPython's own triggering while gcctl is installed: True on, False off; None: as found."""

    thresholds: tuple[int, int, int] | None
    """For `gc.set_threshold` while gcctl is installed, the first at least 1; None: as found."""

    max_pause: float
    """Longest pause that policies aim at, and threshold of the alert for long pauses. In seconds
    (whole nanoseconds)."""

    memory_limit: int | str | None
    """Soft limit on memory, None: none. Bytes, compared with this process's RSS; or a share such as
    "80%", compared with the usage of the whole cgroup that limits it, else of the machine."""

    check_interval: float
    """Shortest time between two checks of memory, GC settings and policy, which come at boundaries.
    In seconds (whole nanoseconds)."""

    pressure_budget: float
    """Share of elapsed time (0 < share <= 1) that collections for memory pressure may take. Beyond
    it the worker is advised to recycle: collecting does not help a heap that is simply full."""

    gc_budget: float
    """Share of elapsed time (0 < share <= 1) that an adaptive policy may spend on collections."""

    max_collections_per_minute: int | None
    """Collections of generation 1 and older in a minute above which the alert `gc_frequency` is
    raised; None: never."""

    report_every: int | None
    """Requests between two status reports in the log; None: never."""

    emergency_interval: float | None
    """Shortest time in seconds between two collections that failing requests cause; None: they
    cause none."""

    recycle_after_requests: int | None
    """Requests after which the worker is advised to be recycled; None: never."""

    recycle_above: int | None
    """Bytes of this process's RSS above which the worker is advised to be recycled; None: none."""

    recycle_jitter: float
    """Share (0 <= share <= 1) by which a worker's own thresholds may be below
    `recycle_after_requests` and `recycle_above`. Each worker draws its own at random, so that
    workers are not replaced all at once. 0: exactly these."""

    final_collection: bool
    """Whether uninstalling runs a full collection."""

    at_exit: str
    """What the end of the process is like: "complete" (finalizers run as without gcctl), or "fast"
    (finalizers of what is alive do not run)."""

    monitoring: bool
    """Whether gcctl raises alerts, and records collections of others (automatic, explicit)."""


@record(kw_only=True)
class Preset(Values):
    """A named, complete set of values."""

    summary: str
    """One line for people: what the preset does and what it costs."""


# Production is the source document's "production manager": generations at 1/10/100 requests,
# 1024 MB, 10 ms. It lacks two limits, which are ours: the emergency interval, so that an endpoint
# that fails on purpose cannot make a server collect all day, and the pressure budget.
_PRODUCTION = Preset(
    policy="production",
    summary=(
        "Scheduled collections at request boundaries, emergency and final collection; "
        "automatic GC off: a request that allocates without end is not collected mid-request."
    ),
    gen0_every=1,
    gen1_every=10,
    gen2_every=100,
    full_collection="stop",
    explicit_collect="run",
    stagger=None,
    automatic_gc=False,
    thresholds=None,
    max_pause=0.010,
    memory_limit=1024 * MIB,
    check_interval=0.1,
    pressure_budget=0.10,
    gc_budget=0.01,
    max_collections_per_minute=60,
    report_every=1000,
    emergency_interval=10.0,
    recycle_after_requests=None,
    recycle_above=None,
    recycle_jitter=0.1,
    final_collection=True,
    at_exit="complete",
    monitoring=True,
)


def _like_production(**changes: Any) -> Preset:
    values = {name: getattr(_PRODUCTION, name) for name in field_names(Preset)}
    return Preset(**{**values, **changes})


# The source document's "conservative" variant: 1/20/200 requests, 2048 MB, 5 ms.
_CONSERVATIVE = _like_production(
    policy="conservative",
    summary=(
        "As production with half as many old collections, twice the memory, half the pause alert; "
        "automatic GC off: a request that allocates without end is not collected mid-request."
    ),
    gen1_every=20,
    gen2_every=200,
    max_pause=0.005,
    memory_limit=2048 * MIB,
)

# The source document's per-request collection. Like the document it sets thresholds, which have no
# effect while automatic GC is off. They count if somebody switches it on again.
_INSTAGRAM = _like_production(
    policy="instagram",
    summary=(
        "The per-request schedule of the source document, and the memory limit; "
        "automatic GC off: a request that allocates without end is not collected mid-request."
    ),
    thresholds=(100, 5, 5),
    max_pause=0.005,
    emergency_interval=None,
    final_collection=False,
)

# Measures only. It has no memory limit, because a limit means collections. If the user gives one,
# it is obeyed.
_OFF = _like_production(
    policy="off",
    summary="Never collects by itself and leaves automatic GC as found; only measures.",
    gen0_every=None,
    gen1_every=None,
    gen2_every=None,
    automatic_gc=None,
    memory_limit=None,
    emergency_interval=None,
    final_collection=False,
)

# Decides by itself what is collected when (`gcctl._auto`). Automatic GC stays on as a safety net
# for requests that allocate without end, with thresholds that follow from `max_pause`.
_AUTO = _like_production(
    policy="auto",
    summary=(
        "Collects after requests, by measured pauses and memory, steered by gc_budget "
        "and max_pause; full collections beside the process; automatic GC only as a safety net."
    ),
    gen0_every=None,
    gen1_every=None,
    gen2_every=None,
    full_collection="concurrent",
    automatic_gc=True,
    memory_limit=None,
    max_collections_per_minute=None,
    final_collection=False,
)

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {preset.policy: preset for preset in (_AUTO, _INSTAGRAM, _PRODUCTION, _CONSERVATIVE, _OFF)}
)
"""Every preset by name.

`instagram`, `production` and `conservative` switch automatic GC off, as the source document does.
Nothing can then trigger a collection in the middle of a request, so the memory of a request that
allocates without end is not bounded. Give `automatic_gc=True` with high `thresholds` to keep a
safety net.
"""

ADAPTIVE: Final = frozenset({"auto"})
"""Presets that decide by measurements what is collected when, not by their values alone."""

ACTING: Final = frozenset(
    {
        *("policy", "gen0_every", "gen1_every", "gen2_every", "full_collection", "stagger"),
        *("automatic_gc", "thresholds", "emergency_interval", "final_collection"),
    }
)
"""Fields by which gcctl changes settings, or collects although nobody has called it."""

DEFAULT_POLICY: Final = "auto"
"""The policy when none is named anywhere."""
