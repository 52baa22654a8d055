"""What every test relies on: both twins of the core, and an interpreter left as it was found."""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import gcctl
from gcctl import _impl, _pycore, _pymemory
from gcctl._protocol import Core, Memory
from gcctl.collectors import COLLECTOR

# How long an example takes says more about the machine's neighbours than about gcctl.
hypothesis.settings.register_profile("gcctl", deadline=None)
hypothesis.settings.load_profile("gcctl")

NOT_BUILT = "the compiled core is not installed (GCCTL_BUILD_EXT=no)"
TWINS: dict[str, type[Core] | None] = {"c": None, "python": _pycore.Core}
MEMORY_TWINS: dict[str, type[Memory] | None] = {"c": None, "python": _pymemory.Memory}
if importlib.util.find_spec("gcctl._core"):  # one that is there and broken is an error
    from gcctl import _core, _memory

    TWINS["c"] = _core.Core
    MEMORY_TWINS["c"] = _memory.Memory


def pytest_report_header() -> str:
    where = Path(gcctl.__file__).parent
    return f"gcctl: {_impl.core.implementation} core ({_impl.reason}), {COLLECTOR} GC, from {where}"


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


@pytest.fixture(autouse=True)
def interpreter_as_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No GCCTL_ variable from outside reaches a test, and no GC setting of a test gets out."""
    for name in list(os.environ):
        if name.startswith("GCCTL_") and name != "GCCTL_IMPL":
            monkeypatch.delenv(name)
    enabled, thresholds, debug = gc.isenabled(), gc.get_threshold(), gc.get_debug()
    yield
    gcctl.uninstall()
    left = gc.isenabled(), gc.get_threshold(), gc.get_debug()
    gc.set_threshold(*thresholds)
    gc.set_debug(debug)
    (gc.enable if enabled else gc.disable)()
    assert left == (enabled, thresholds, debug), "the test left GC settings behind"
    owners = [getattr(callback, "__self__", None) for callback in gc.callbacks]
    assert _impl.core not in owners, "the test left a gc callback behind"
