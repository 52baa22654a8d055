"""The presets: what each named policy does, as data.

`Values` declares every configuration field once, with its type and unit. A `Preset` is a complete
set of them under a name; a `Config` is a set of them that a user has adjusted. The
"source document" is the tutorial chapter on garbage collection in services whose systems gcctl
implements; its numbers are kept.
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
    """Name of the preset that fills in whatever is not given; a key of `PRESETS`."""

    gen0_every: int | None
    """Requests between two collections of generation 0; None: never."""

    gen1_every: int | None
    """Requests between two collections of generation 1 (and with it 0); None: never."""

    gen2_every: int | None
    """Requests between two full collections; None: never."""

    full_collection: str
    """How full collections run: "stop", or "concurrent" (beside the process, where that is
    possible)."""

    stagger: str | None
    """What keeps the full collections of several processes apart: the path of a lock file that they
    share, or "auto", which is their master's or this user's; None: nothing."""

    automatic_gc: bool | None
    """CPython's own triggering while installed: True on, False off, None left as found."""

    thresholds: tuple[int, int, int] | None
    """For `gc.set_threshold` while installed, the first at least 1; None: left as found."""

    max_pause: float
    """Seconds (whole nanoseconds). What policies steer by, and the threshold of the pause alert."""

    memory_limit: int | str | None
    """Soft limit on memory, None: none. Bytes, compared with this process's RSS; or a share such as
    "80%", compared with the usage of the whole cgroup that limits it, else of the machine."""

    check_interval: float
    """Shortest time in seconds (whole nanoseconds) between two looks at memory and at the gc
    settings, which are taken at boundaries."""

    pressure_budget: float
    """Share of elapsed time (0 < share <= 1) that collections for memory pressure may take; past it
    the worker is advised to recycle, as a heap that is simply full is not collected for ever."""

    gc_budget: float
    """Share of elapsed time (0 < share <= 1) that an adaptive policy may spend on collections."""

    max_collections_per_minute: int | None
    """Collections of generation 1 and older in a minute above which the alert `gc_frequency` is
    raised; None: never."""

    report_every: int | None
    """Requests between two status reports in the log; None: never."""

    emergency_interval: float | None
    """Shortest time in seconds between two collections asked for by failing requests; None: failing
    requests never cause one."""

    recycle_after_requests: int | None
    """Requests after which the worker is advised to be recycled; None: never."""

    recycle_above: int | None
    """Bytes of this process's RSS above which the worker is advised to be recycled; None: none."""

    recycle_jitter: float
    """Share (0 <= share <= 1) of `recycle_after_requests` and `recycle_above`: each worker draws
    its own thresholds from this last part below them, so that workers do not go together; 0:
    exactly these."""

    final_collection: bool
    """Whether uninstalling runs a full collection."""

    monitoring: bool
    """Whether collections caused by others (automatic, explicit) are recorded and alerts raised."""


@record(kw_only=True)
class Preset(Values):
    """A named, complete set of values."""

    summary: str
    """One line for people: what the preset does and what it costs."""


# Production is the source document's "production manager": generations at 1/10/100 requests,
# 1024 MB, 10 ms. The emergency interval is ours, so that an endpoint that fails on purpose cannot
# make a server collect all day. Ours too is what bounds the collections for memory pressure.
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
    monitoring=True,
)


def _like_production(**changes: Any) -> Preset:
    values = {name: getattr(_PRODUCTION, name) for name in field_names(Preset)}
    return Preset(**{**values, **changes})


# The source document's "conservative" variant of the same: 1/20/200, 2048 MB, 5 ms.
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

# The source document's per-request collection. It sets the thresholds although they do nothing
# while automatic GC is off: whoever turns it on again meanwhile gets them, as there.
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

# Measures only. It has no memory limit because obeying one means collecting; a limit that the user
# gives is obeyed here too.
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

# Decides by itself what is collected when (`gcctl._auto`). Automatic GC stays on for a
# request that allocates without end, under thresholds that `max_pause` gives.
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

`instagram`, `production` and `conservative` switch automatic GC off, as the source document does:
nothing can then trigger a collection in the middle of a request, so a request that allocates
without end is not collected mid-request. Give `automatic_gc=True` with high `thresholds` to keep a
safety net under them.
"""

ADAPTIVE: Final = frozenset({"auto"})
"""Presets whose collections are decided while they run, not by their values alone."""

DEFAULT_POLICY: Final = "auto"
"""The policy when none is named anywhere."""
