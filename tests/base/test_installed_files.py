"""A stale or half-updated installation is an error that says what to remove."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import gcctl
from gcctl._base.errors import GcctlError
from gcctl._base.installed_files import (
    INTERFACE,
    demand_no_leftovers,
    demand_same_interface,
)

COMPILED = ("gcctl._core.compiled", "gcctl._memory.compiled", "gcctl._concurrent.compiled")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the installed package, to be spoiled."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(gcctl.__file__).parent, tmp_path / "gcctl", ignore=ignore)
    return tmp_path


def import_error(folder: Path, **environment: str) -> str:
    """The last line of what using gcctl from that folder says; "" if nothing."""
    done = subprocess.run(
        [sys.executable, "-c", "import gcctl; gcctl.tick(); print(gcctl.__file__)"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode or done.stdout.startswith(str(folder))
    return done.stderr.splitlines()[-1] if done.stderr else ""


def test_a_sound_copy_is_imported(copy: Path) -> None:
    assert import_error(copy) == ""


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_modules_have_the_interface_of_the_python_files(name: str) -> None:
    module = pytest.importorskip(name, reason="it is not built here")
    assert module.INTERFACE == INTERFACE


@pytest.mark.parametrize(
    "leftover", ["controller.py", "_pycore.py", "_core.so", "_core.cp311-win_amd64.pyd", "auto.pyc"]
)
def test_modules_of_an_older_layout_are_named(tmp_path: Path, leftover: str) -> None:
    (tmp_path / leftover).touch()
    with pytest.raises(
        GcctlError, match=re.escape(f"{tmp_path} has files of an older gcctl: {leftover}; ")
    ):
        demand_no_leftovers(str(tmp_path))


def test_all_leftovers_are_named_at_once(copy: Path) -> None:
    for leftover in ("_pycore.py", "controller.py"):
        (copy / "gcctl" / leftover).touch()
    for impl in ("", "python"):
        error = import_error(copy, GCCTL_IMPL=impl)
        assert "has files of an older gcctl: _pycore.py, controller.py; remove them" in error
        assert "pip install --force-reinstall gcctl" in error


def test_what_is_no_module_of_an_older_gcctl_is_left_alone(tmp_path: Path) -> None:
    odd = ("._config.py", ".#__init__.py", "__init__ (copy).py")
    for name in ("__init__.py", "__init__.pyc", "__main__.py", "py.typed", "notes.txt", *odd):
        (tmp_path / name).touch()
    (tmp_path / "_core").mkdir()
    (tmp_path / "__pycache__").mkdir()
    demand_no_leftovers(str(tmp_path))
    demand_no_leftovers(str(tmp_path / "gcctl.zip"))


@pytest.mark.parametrize("number", [None, INTERFACE - 1, INTERFACE + 1])
def test_a_module_of_another_interface_is_named(number: int | None) -> None:
    module = ModuleType("compiled")
    module.__file__ = "/site/gcctl/_core/compiled.so"
    if number is not None:
        module.INTERFACE = number  # type: ignore[attr-defined]
    with pytest.raises(GcctlError, match=r"^/site/gcctl/_core/compiled\.so was built for another"):
        demand_same_interface(module)


def test_a_stale_build_is_an_error_that_says_what_to_remove(copy: Path) -> None:
    core = pytest.importorskip("gcctl._core.compiled", reason="the compiled core is not installed")
    source = copy / "gcctl" / "_base" / "installed_files.py"
    text = source.read_text()
    newer = text.replace(f"INTERFACE = {INTERFACE}", f"INTERFACE = {INTERFACE + 1}")
    assert newer != text
    source.write_text(newer)
    built = copy / "gcctl" / "_core" / Path(core.__file__).name
    error = import_error(copy, GCCTL_IMPL="")
    assert f"{built} was built for another gcctl: its interface is {INTERFACE}" in error
    assert "remove it" in error
    assert import_error(copy, GCCTL_IMPL="python") == ""


def test_a_build_that_misses_a_name_is_an_error_that_says_what_to_remove(copy: Path) -> None:
    core = pytest.importorskip("gcctl._core.compiled", reason="the compiled core is not installed")
    records = copy / "gcctl" / "_core" / "records.py"
    records.write_text(records.read_text().replace("LastMinute", "Renamed"))
    error = import_error(copy, GCCTL_IMPL="")
    assert "the compiled core cannot be imported: cannot import name LastMinute" in error
    assert Path(core.__file__).name in error


@pytest.mark.skipif(sys.platform != "linux", reason="concurrent collections need Linux")
def test_the_concurrent_part_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = pytest.importorskip("gcctl._concurrent.compiled", reason="it is not built here")
    coordinator = importlib.import_module("gcctl._concurrent.coordinator")
    if coordinator.coordinator.missing:
        pytest.skip(coordinator.coordinator.missing)
    monkeypatch.setattr(compiled, "INTERFACE", INTERFACE + 1)
    with pytest.raises(GcctlError, match="was built for another gcctl"):
        coordinator.Coordinator(coordinator.twins.core, coordinator.twins.memory)
