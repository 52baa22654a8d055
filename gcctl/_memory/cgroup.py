"""The memory limits that apply to this process on Linux, and how much of them is used.

Control groups form a tree. Every level may have a limit, and a process is held to the limit of its
own group and of all groups above it. Which of them it can see depends on what is mounted. If no
group has a limit, physical memory is the limit.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

from gcctl._base import log

T = TypeVar("T")

NO_LIMIT = 2**62
"""In bytes: stands for "max". For "no limit", version 1 writes 2**63 rounded down to whole pages,
which is above this number."""

SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR)

ABSENT = (FileNotFoundError, NotADirectoryError)


class _ShortageError(Exception):
    """The system is short of something at this moment. It says nothing about the file."""


class Group(NamedTuple):
    """A control group, or the machine: processes that share memory under one limit."""

    name: str
    """For messages: "cgroup /sys/fs/cgroup/shop", or "physical memory"."""
    limit_bytes: int
    """Can be 0: a group may be forbidden all memory."""
    usage_path: str
    """The file with an upper bound of the memory in use: memory.current, memory.usage_in_bytes, or
    meminfo."""
    meminfo: bool
    """Whether `usage_path` is a meminfo, in which MemTotal - MemAvailable is in use. Otherwise the
    file is one plain number."""

    def used_bytes(self) -> int:
        """Bytes the whole group uses, without the file cache that the kernel takes back first.

        Raises OSError when it cannot be read, FileNotFoundError when the group is gone, and
        ValueError when a file is malformed.
        """
        if self.meminfo:
            text = _read(self.usage_path)
            total = _field(self.usage_path, text, b"MemTotal:")
            available = _field(self.usage_path, text, b"MemAvailable:")
            return max(total - available, 0) * 1024
        used = _number(self.usage_path, _read(self.usage_path))
        directory, file = os.path.split(self.usage_path)
        stat_path = os.path.join(directory, "memory.stat")
        cache_field = V2.cache_field if file == V2.usage_file else V1.cache_field
        # The two files are not of the same moment: by now the cache may be more than was in use.
        return max(used - _field(stat_path, _read(stat_path), cache_field), 0)


class MemoryGroups:
    """The groups whose limits apply to this process, and the memory pressure on it.

    If a file exists and cannot be used, that is logged once, and its level is left out. A file that
    does not exist is nothing unusual; on other systems than Linux, none does.
    """

    def __init__(self, proc: str = "/proc") -> None:
        """`proc` is where the proc file system is mounted. Does not raise."""
        self.groups: tuple[Group, ...] = ()
        """From the process's own group upwards. If no group has a limit, the machine alone. Empty
        if nothing can be found out."""
        self._meminfo_path = os.path.join(proc, "meminfo")
        self._membership_path = os.path.join(proc, "self", "cgroup")
        self._mountinfo_path = os.path.join(proc, "self", "mountinfo")
        self._system_pressure_path = os.path.join(proc, "pressure", "memory")
        self._membership = b""
        self._chains: list[_Chain] = []
        self._pressure_paths: list[str] = []
        self._warned: set[str] = set()
        self.refresh()

    def refresh(self) -> bool:
        """Read everything again, because limits change at run time and processes are moved.

        Returns True if `groups` changed. Never raises. While the system is short of descriptors or
        memory, everything stays as it was.
        """
        try:
            return self._refresh()
        except _ShortageError:
            return False

    def _refresh(self) -> bool:
        physical_bytes = self._attempt(_physical_bytes, self._meminfo_path)
        membership = self._attempt(_read, self._membership_path) or b""
        levels = self._levels() if membership == self._membership else []
        if not levels:
            self._locate(membership)
            levels = self._levels()

        highest = physical_bytes or NO_LIMIT - 1  # a limit above physical memory limits nothing
        found = [group for group in levels if group.limit_bytes <= highest]
        found = [group for group in found if self._is_usable(group)]
        if physical_bytes and not found:
            machine = Group("physical memory", physical_bytes, self._meminfo_path, True)
            found = [machine] if self._is_usable(machine) else []
        before, self.groups = self.groups, tuple(found)
        return self.groups != before

    def forget(self, group: Group) -> None:
        """Its use could not be read. The next refresh tries again; if that fails too, the group is
        left out."""
        self.groups = tuple(known for known in self.groups if known != group)

    def pressure(self) -> float | None:
        """The share, 0 to 1, of the last 10 s in which some task waited for memory.

        The tasks are those of the process's version 2 control group, as of the last refresh. If the
        group does not tell, they are those of the whole system. None if the kernel does not tell.
        Never raises.
        """
        for path in self._pressure_paths:
            try:
                text = _read(path)
            except ABSENT:
                continue
            except (OSError, ValueError):
                return None
            match = re.match(rb"some avg10=(\d+\.\d+) ", text)
            percent = float(match[1]) if match else -1.0
            return percent / 100 if 0 <= percent <= 100 else None
        return None

    def _locate(self, membership: bytes) -> None:
        """Find the directories again that may have the process's limits."""
        mountinfo = self._attempt(_read, self._mountinfo_path) or b""
        self._membership = membership
        self._chains = _chains(membership, mountinfo)
        own = [chain.directories[0] for chain in self._chains if chain.version is V2]
        self._pressure_paths = [os.path.join(directory, "memory.pressure") for directory in own]
        self._pressure_paths += [self._system_pressure_path]

    def _levels(self) -> list[Group]:
        """The levels of the first chain with a limit file, also those without a limit."""
        for chain in self._chains:
            groups = [self._attempt(chain.version.group, path) for path in chain.directories]
            levels = [group for group in groups if group is not None]
            if levels:
                self._chains = [chain]
                return levels
        return []

    def _is_usable(self, group: Group) -> bool:
        # Asked once per group, because memory.stat is expensive where there are many CPUs.
        if group in self.groups:
            return True
        return self._attempt(lambda _: group.used_bytes(), group.usage_path) is not None

    def _attempt(self, reader: Callable[[str], T], path: str) -> T | None:
        """The result of `reader(path)`; None if the file is absent, unreadable or malformed."""
        try:
            return reader(path)
        except ABSENT:
            return None
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in SHORTAGES:
                raise _ShortageError from error
            if path not in self._warned:
                self._warned.add(path)
                with suppress(Exception):
                    log.warning("memory limits are read without %s: %s", path, error)
            return None


class _Version(NamedTuple):
    """The names that a version of the control group interface has for files about memory."""

    limit_files: tuple[str, ...]  # the lowest of them is the limit
    usage_file: str
    cache_field: bytes  # of memory.stat: inactive file cache, with that of the groups below

    def group(self, directory: str) -> Group:
        """The group of a directory, limited or not.

        Raises FileNotFoundError if there is no limit file, OSError and ValueError as `used_bytes`.
        """
        limits = []
        for file in self.limit_files:
            path = os.path.join(directory, file)
            with suppress(*ABSENT):
                text = _read(path)
                limits.append(NO_LIMIT if text.strip() == b"max" else _number(path, text))
        if not limits:
            raise FileNotFoundError(errno.ENOENT, "no memory limit", directory)
        usage_path = os.path.join(directory, self.usage_file)
        return Group(f"cgroup {directory}", min(limits), usage_path, False)


V1 = _Version(("memory.limit_in_bytes",), "memory.usage_in_bytes", b"total_inactive_file")
V2 = _Version(("memory.max", "memory.high"), "memory.current", b"inactive_file")


class _Chain(NamedTuple):
    """The process's group and those above it, as far as one mount shows them."""

    version: _Version
    directories: list[str]  # the process's own group first, the mount point last


MEMBERSHIP = re.compile(rb"^\d+:([^:\n]*):(/.*)$", re.MULTILINE)
"""Of /proc/self/cgroup: controllers, path."""

MOUNT = re.compile(
    rb"^\d+ \d+ \d+:\d+ ([^ \n]+) ([^ \n]+) .*? - (cgroup2?) .*?([^ \n]+)$", re.MULTILINE
)
"""Of /proc/self/mountinfo: root, mount point, file system, its options."""


def _chains(membership: bytes, mountinfo: bytes) -> list[_Chain]:
    """Where the process's limits may be, the likeliest first. Hybrid systems have both versions."""
    own: dict[_Version, bytes] = {}
    for controllers, path in MEMBERSHIP.findall(membership):
        if not controllers:
            own[V2] = path
        elif b"memory" in controllers.split(b","):
            own[V1] = path

    mounts: dict[bytes, tuple[_Version, bytes]] = {}  # a later mount hides one at the same place
    for root, mount_point, file_system, options in MOUNT.findall(mountinfo):
        if file_system == b"cgroup2":
            mounts[_unescape(mount_point)] = V2, _unescape(root)
        elif b"memory" in options.split(b","):
            mounts[_unescape(mount_point)] = V1, _unescape(root)

    chains = []
    # The shorter the root of a mount, the more levels it shows.
    by_root = sorted(mounts.items(), key=lambda mount: len(mount[1][1]))
    for version in V2, V1:
        inside: list[_Chain] = []
        outside: list[_Chain] = []
        for mount_point, (mounted, root) in by_root:
            if mounted is not version or version not in own:
                continue
            names = _names_below(root, own[version])
            directories = [os.fsdecode(mount_point)]
            for name in names or []:
                directories.append(os.path.join(directories[-1], os.fsdecode(name)))
            chain = _Chain(version, directories[::-1])
            (outside if names is None else inside).append(chain)
        chains += inside or outside
    return chains


def _names_below(root: bytes, path: bytes) -> list[bytes] | None:
    """The names that lead from the group `root` to the group `path`; None if no names do."""
    root = root.rstrip(b"/")
    if not (path + b"/").startswith(root + b"/"):
        return None
    names = [name for name in path[len(root) :].split(b"/") if name]
    return None if b".." in names else names


def _unescape(path: bytes) -> bytes:
    return re.sub(rb"\\([0-3][0-7]{2})", lambda match: bytes([int(match[1], 8)]), path)


def _physical_bytes(meminfo_path: str) -> int:
    return _field(meminfo_path, _read(meminfo_path), b"MemTotal:") * 1024


def _read(path: str) -> bytes:
    """The whole file. Raises OSError; FileNotFoundError also if it is removed while it is read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise FileNotFoundError(errno.ENOENT, "control group removed", path) from error
        raise


def machine_memory(proc: str = "/proc") -> tuple[int, int]:
    """Total and available physical memory in bytes.

    Raises OSError or ValueError if /proc/meminfo does not tell.
    """
    path = os.path.join(proc, "meminfo")
    text = _read(path)
    total, available = (_field(path, text, name) for name in (b"MemTotal:", b"MemAvailable:"))
    return total * 1024, available * 1024


def _number(path: str, text: bytes) -> int:
    """The number that is the text of this file. Raises ValueError if the text is something else."""
    if not re.fullmatch(rb"\d+\n?", text):
        raise ValueError(f"{path} reads {text[:40]!r}, expected a number of bytes")
    return int(text)


def _field(path: str, text: bytes, name: bytes) -> int:
    """The number after a name at the start of a line. In meminfo it is KiB.

    Raises ValueError if the text of this file has no such number.
    """
    match = re.search(rb"^" + name + rb" +(\d+)(?: kB)?$", text, re.MULTILINE)
    if not match:
        raise ValueError(f"{path} has no number of bytes as {name.decode()!r}")
    return int(match[1])
