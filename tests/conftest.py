"""What every test relies on: both twins of the core, and an interpreter left as it was found."""

from __future__ import annotations

import _thread
import gc
import importlib.util
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest
from finalizer_threads import WATCH
from processes import PATIENCE_SECONDS, wait_until

import gcctl
from gcctl._core import pure
from gcctl._core.protocol import Core
from gcctl._interpreter.collector import COLLECTOR
from gcctl._memory import pure as pure_memory
from gcctl._memory.protocol import Memory
from gcctl._process import twins

# How long an example takes, to make or to run, says more about the machine's neighbours than about
# gcctl.
hypothesis.settings.register_profile(
    "gcctl", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("gcctl")

pytest.register_assert_rewrite("as_python")

WATCH.take_threads_that_are_there()
WATCH.start()

SELDOM = 5000
"""Container objects that no test makes by the way; one that is about automatic GC makes more."""

NOT_BUILT = "the compiled core is not installed (GCCTL_BUILD_EXT=no)"
TWINS: dict[str, type[Core] | None] = {"c": None, "python": pure.Core}
MEMORY_TWINS: dict[str, type[Memory] | None] = {"c": None, "python": pure_memory.Memory}
if importlib.util.find_spec("gcctl._core.compiled"):  # one that is there and broken is an error
    from gcctl._core import compiled
    from gcctl._memory import compiled as compiled_memory

    TWINS["c"] = compiled.Core
    MEMORY_TWINS["c"] = compiled_memory.Memory


def pytest_report_header() -> str:
    where = Path(gcctl.__file__).parent
    return f"gcctl: {twins.core.implementation} core ({twins.reason}), {COLLECTOR} GC, from {where}"


@pytest.fixture(params=TWINS)
def core_class(request: pytest.FixtureRequest) -> type[Core]:
    """The class of each twin in turn, to make cores of one's own from."""
    twin = TWINS[request.param]
    if twin is None:
        pytest.skip(NOT_BUILT)
    return twin


@pytest.fixture(params=MEMORY_TWINS)
def memory(request: pytest.FixtureRequest) -> Iterator[Memory]:
    """A Memory of each twin in turn."""
    twin = MEMORY_TWINS[request.param]
    if twin is None:
        pytest.skip(NOT_BUILT)
    memory = twin()
    yield memory
    memory.close()


@pytest.fixture(scope="session")
def both_twins() -> list[type[Core]]:
    twins = [twin for twin in TWINS.values() if twin is not None]
    if len(twins) < len(TWINS):
        pytest.skip(NOT_BUILT)
    return twins


@pytest.fixture(scope="session", autouse=True)
def own_lock_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`stagger="auto"` takes turns with the user's other processes. Workers of one run of the
    tests must not wait for each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture
def finalizers_in_threads_of_the_program() -> Iterator[None]:
    """No finalizer, and so no callback of the collector, runs in a thread that gcctl has made."""
    yield
    seen, WATCH.seen = WATCH.seen, []
    assert not seen, seen[0]


@pytest.fixture(autouse=True)
def interpreter_as_found(finalizers_in_threads_of_the_program: None) -> Iterator[None]:
    """No GCCTL_ variable from outside reaches a test, and no GC setting of a test gets out, nor
    does a thread: the next test counts them, or forks.

    A worker of pytest-xdist has one more thread, from its start to its end. What must have one
    thread only is a program of its own: see `processes.run_program`.
    """
    enabled, thresholds, debug = gc.isenabled(), gc.get_threshold(), gc.get_debug()
    threads = _thread._count()
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("GCCTL_") and name != "GCCTL_IMPL":
                patch.delenv(name)
        # A machine that is busy with something else may take a second to switch threads.
        patch.setattr("gcctl._lifecycle.installation.CALLBACK_SECONDS", PATIENCE_SECONDS)
        yield
        try:
            gcctl.uninstall()
        finally:  # whatever went wrong, it is this test alone that has failed
            if gcctl.stats().policy is not None:
                with suppress(Exception):
                    gcctl.uninstall()
            left = gc.isenabled(), gc.get_threshold(), gc.get_debug()
            gc.set_threshold(*thresholds)
            gc.set_debug(debug)
            (gc.enable if enabled else gc.disable)()
            ours = [getattr(entry, "__self__", None) is twins.core for entry in gc.callbacks]
            gc.callbacks[:] = [
                e for e, is_ours in zip(gc.callbacks, ours, strict=True) if not is_ours
            ]
    assert left == (enabled, thresholds, debug), "the test left GC settings behind"
    assert not any(ours), "the test left a gc callback behind"
    wait_until(lambda: _thread._count() <= threads, threads_left_behind)


def threads_left_behind() -> str:
    stacks = "".join(
        f"\n{thread}:\n{''.join(traceback.format_stack(frame))}"
        for thread, frame in sys._current_frames().items()
        if thread != _thread.get_ident()
    )
    return f"the test left a thread behind; {_thread._count() + 1} are there:{stacks}"


@pytest.fixture
def short_collections() -> Iterator[None]:
    """They need not go through all that pytest has made."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def no_collection_by_itself() -> Iterator[None]:
    """Automatic GC is as on as it was, but none falls due while a test counts collections."""
    thresholds = gc.get_threshold()
    gc.collect(0)
    gc.set_threshold(SELDOM, *thresholds[1:])
    yield
    gc.set_threshold(*thresholds)


@pytest.fixture(params=[True, False], ids=["gc on", "gc off"])
def found(request: pytest.FixtureRequest, no_collection_by_itself: None) -> Iterator[bool]:
    """Whether automatic GC was on before."""
    enabled: bool = request.param
    (gc.enable if enabled else gc.disable)()
    yield enabled
    gcctl.uninstall()
    assert gc.isenabled() is enabled
    gc.enable()


@pytest.fixture(params=[False, True], ids=["alone", "installed"])
def installed(request: pytest.FixtureRequest) -> bool:
    """Whether a controller is there, which does nothing by itself."""
    if request.param:
        gcctl.install("off")
    return bool(request.param)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT as in a terminal: a suite that runs in the background has it ignored, and so would
    every process started from here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
