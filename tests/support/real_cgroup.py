"""Control groups with a memory limit, made in the running kernel for the time of a test."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

V1_ROOT = Path("/sys/fs/cgroup/memory")
V2_ROOT = Path("/sys/fs/cgroup")

REMOVAL_SECONDS = 60.0
"""How long a group may stay busy after its last process was waited for."""


class RealCgroup:
    """A control group below the root of the hierarchy, or below another one of these."""

    def __init__(self, directory: Path, version: int) -> None:
        self.directory = directory
        self.version = version

    def set_limit(self, limit_bytes: int) -> None:
        """The kernel rounds it down to whole pages."""
        file = "memory.limit_in_bytes" if self.version == 1 else "memory.max"
        (self.directory / file).write_text(str(limit_bytes))

    def add(self, pid: int) -> None:
        """Move a process here. Under version 2 not where a group below this one was made."""
        (self.directory / "cgroup.procs").write_text(str(pid))


@contextmanager
def real_cgroup(limit_bytes: int, parent: RealCgroup | None = None) -> Iterator[RealCgroup]:
    """A control group with that limit; skips the test where none can be made.

    It is removed at the end, by when its processes have to be gone: one that is not is an OSError.
    """
    try:
        group = _make(parent or _root())
    except OSError as error:
        pytest.skip(f"no control group with a memory limit can be made here: {error}")
    try:
        group.set_limit(limit_bytes)
        yield group
    finally:
        _remove(group.directory)


def _root() -> RealCgroup:
    """The root of the hierarchy that has the memory controller. Raises OSError where none does."""
    if (V1_ROOT / "memory.limit_in_bytes").exists():
        return RealCgroup(V1_ROOT, 1)
    if "memory" in (V2_ROOT / "cgroup.controllers").read_text().split():
        return RealCgroup(V2_ROOT, 2)
    raise FileNotFoundError(errno.ENOENT, "no memory controller", str(V2_ROOT))


def _make(parent: RealCgroup) -> RealCgroup:
    if parent.version == 2:
        control = parent.directory / "cgroup.subtree_control"
        if "memory" not in control.read_text().split():
            control.write_text("+memory")
    directory = parent.directory / f"gcctl-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    directory.mkdir()
    return RealCgroup(directory, parent.version)


def _remove(directory: Path) -> None:
    deadline = time.monotonic() + REMOVAL_SECONDS
    while True:
        try:
            directory.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
