"""Which memory limits apply is read off the kernel's files, whatever state they are in."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_cgroup import real_cgroup

from gcctl._memory.cgroup import Group, MemoryGroups

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="control groups need POSIX paths")

MIB = 1024 * 1024
PHYSICAL = 24684096 * 1024
V1_UNLIMITED = 9223372036854771712

MEMINFO = """\
MemTotal:       24684096 kB
MemFree:        23528012 kB
MemAvailable:   24175544 kB
Buffers:           95456 kB
Cached:           816528 kB
"""

V1_STAT = """\
cache 4096
rss 1531904
mapped_file 0
inactive_anon 0
active_anon 1531904
inactive_file 4096
active_file 352256
hierarchical_memory_limit {limit}
total_cache 1025384448
total_rss 81477632
total_inactive_anon 75911168
total_inactive_file {cache}
total_active_file 545955840
"""

V2_STAT = """\
anon 81477632
file 1025384448
kernel_stack 425984
file_mapped 22081536
inactive_anon 75911168
active_anon 1564672
inactive_file {cache}
active_file 545955840
workingset_refault_file 671465
pgfault 171913807
"""

PRESSURE = """\
some avg10={some} avg60=1.70 avg300=0.42 total=1278195
full avg10=0.99 avg60=0.50 avg300=0.11 total=1159242
"""


class FakeLinux:
    """A proc directory, and the directories of control groups that its mountinfo points to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = root / "proc"
        self.mounts: list[str] = []
        self.write(self.proc / "meminfo", MEMINFO)
        self.write(self.proc / "pressure/memory", PRESSURE.format(some="12.34"))
        self.member("")
        self.mount_line("25 0 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw")

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def member(self, text: str) -> None:
        """What /proc/self/cgroup reads."""
        self.write(self.proc / "self/cgroup", text)

    def mount_line(self, line: str) -> None:
        self.mounts.append(line)
        self.write(self.proc / "self/mountinfo", "".join(line + "\n" for line in self.mounts))

    def mount(self, version: int, name: str, *, root: str = "/", options: str = "") -> Path:
        """Mount a hierarchy, with the controllers that are its options in version 1."""
        point = self.root / name
        point.mkdir(parents=True, exist_ok=True)
        escaped = str(point).replace("\\", "\\134").replace(" ", "\\040")
        kind = "cgroup" if version == 1 else "cgroup2"
        end = ",".join(["rw", *filter(None, [options])])
        number = len(self.mounts) + 26
        self.mount_line(
            f"{number} 25 0:{number} {root} {escaped} rw,nosuid,nodev,noexec,relatime "
            f"shared:{number} - {kind} {kind} {end}"
        )
        return point

    def v2(
        self,
        directory: Path,
        limit: int | str = "max",
        *,
        high: int | str = "max",
        used: int = 100 * MIB,
        cache: int = 30 * MIB,
    ) -> Path:
        self.write(directory / "memory.max", f"{limit}\n")
        self.write(directory / "memory.high", f"{high}\n")
        self.write(directory / "memory.current", f"{used}\n")
        self.write(directory / "memory.stat", V2_STAT.format(cache=cache))
        return directory

    def v1(
        self,
        directory: Path,
        limit: int | str = V1_UNLIMITED,
        *,
        used: int = 100 * MIB,
        cache: int = 30 * MIB,
    ) -> Path:
        self.write(directory / "memory.limit_in_bytes", f"{limit}\n")
        self.write(directory / "memory.usage_in_bytes", f"{used}\n")
        self.write(directory / "memory.stat", V1_STAT.format(limit=limit, cache=cache))
        return directory

    def groups(self) -> MemoryGroups:
        return MemoryGroups(str(self.proc))

    @property
    def machine(self) -> Group:
        return Group("physical memory", PHYSICAL, str(self.proc / "meminfo"), True)


@pytest.fixture
def linux(tmp_path: Path) -> FakeLinux:
    return FakeLinux(tmp_path)


def v2_group(directory: Path, limit: int) -> Group:
    return Group(f"cgroup {directory}", limit, str(directory / "memory.current"), False)


def v1_group(directory: Path, limit: int) -> Group:
    return Group(f"cgroup {directory}", limit, str(directory / "memory.usage_in_bytes"), False)


class TestVersion2:
    def test_every_level_that_limits_from_the_own_group_upwards(self, linux: FakeLinux) -> None:
        top = linux.mount(2, "cgroup", options="nsdelegate,memory_recursiveprot")
        linux.member("0::/system.slice/shop.slice/shop.service\n")
        middle = linux.v2(top / "system.slice/shop.slice", 2048 * MIB)
        own = linux.v2(middle / "shop.service", 512 * MIB)
        linux.v2(top / "system.slice")
        assert linux.groups().groups == (v2_group(own, 512 * MIB), v2_group(middle, 2048 * MIB))

    def test_used_is_without_the_inactive_file_cache(self, linux: FakeLinux) -> None:
        top = linux.mount(2, "cgroup")
        linux.member("0::/shop\n")
        linux.v2(top / "shop", 512 * MIB, used=300 * MIB, cache=100 * MIB)
        assert [group.used_bytes() for group in linux.groups().groups] == [200 * MIB]

    def test_more_cache_than_usage_is_nothing_used(self, linux: FakeLinux) -> None:
        top = linux.mount(2, "cgroup")
        linux.member("0::/shop\n")
        linux.v2(top / "shop", 512 * MIB, used=100 * MIB, cache=101 * MIB)
        assert [group.used_bytes() for group in linux.groups().groups] == [0]

    @pytest.mark.parametrize(
        ("limit", "high", "effective"),
        [("max", 300 * MIB, 300), (400 * MIB, 300 * MIB, 300), (300 * MIB, 400 * MIB, 300)],
    )
    def test_the_lower_of_max_and_high(
        self, linux: FakeLinux, limit: int | str, high: int, effective: int
    ) -> None:
        top = linux.mount(2, "cgroup")
        linux.member("0::/shop\n")
        linux.v2(top / "shop", limit, high=high)
        assert linux.groups().groups == (v2_group(top / "shop", effective * MIB),)

    def test_a_container_with_a_namespace_sees_its_group_as_the_root(
        self, linux: FakeLinux
    ) -> None:
        top = linux.v2(linux.mount(2, "cgroup"), 512 * MIB)
        linux.member("0::/\n")
        assert linux.groups().groups == (v2_group(top, 512 * MIB),)

    def test_a_container_without_a_namespace(self, linux: FakeLinux) -> None:
        scope = "/system.slice/docker-5f2a.scope"
        top = linux.v2(linux.mount(2, "cgroup", root=scope), 512 * MIB)
        worker = linux.v2(top / "workers", 256 * MIB)
        linux.member(f"0::{scope}/workers\n")
        assert linux.groups().groups == (v2_group(worker, 256 * MIB), v2_group(top, 512 * MIB))

    @pytest.mark.parametrize(
        ("root", "path"),
        [
            ("/", "/../shop"),  # moved out of the namespace
            ("/docker/5f2a", "/docker/5f2ab"),
            ("/docker/5f2a", "/docker"),
            ("/..", "/"),  # mounted outside of the namespace
        ],
    )
    def test_of_a_path_outside_of_the_mount_only_the_mount_point_is_seen(
        self, linux: FakeLinux, root: str, path: str
    ) -> None:
        top = linux.v2(linux.mount(2, "cgroup", root=root), 512 * MIB)
        linux.v2(linux.root / "shop", 1 * MIB)
        linux.v2(top / "docker", 1 * MIB)
        linux.v2(top / "b", 1 * MIB)
        linux.member(f"0::{path}\n")
        assert linux.groups().groups == (v2_group(top, 512 * MIB),)

    def test_levels_without_the_memory_controller(self, linux: FakeLinux) -> None:
        top = linux.mount(2, "cgroup")
        linux.v2(top / "user.slice", 4096 * MIB)
        (top / "user.slice/user-1000.slice/session-2.scope").mkdir(parents=True)
        linux.member("0::/user.slice/user-1000.slice/session-2.scope\n")
        assert linux.groups().groups == (v2_group(top / "user.slice", 4096 * MIB),)

    @pytest.mark.parametrize("name", ["two words", "a:b", "back\\slash", "0::"])
    def test_unusual_characters_in_paths(self, linux: FakeLinux, name: str) -> None:
        top = linux.mount(2, f"mount {name}")
        linux.member(f"0::/{name}\n")
        linux.v2(top / name, 512 * MIB)
        assert linux.groups().groups == (v2_group(top / name, 512 * MIB),)

    def test_unusual_characters_in_the_root(self, linux: FakeLinux) -> None:
        top = linux.mount(2, "cgroup", root="/two\\040words")
        linux.member("0::/two words/shop\n")
        linux.v2(top / "shop", 512 * MIB)
        assert linux.groups().groups == (v2_group(top / "shop", 512 * MIB),)


class TestVersion1:
    def test_docker_without_a_namespace(self, linux: FakeLinux) -> None:
        path = "/docker/5f2ac0ffee"
        linux.mount(1, "cgroup/cpu", root=path, options="cpu,cpuacct")
        top = linux.v1(linux.mount(1, "cgroup/memory", root=path, options="memory"), 512 * MIB)
        linux.mount(1, "cgroup/systemd", root=path, options="xattr,name=systemd")
        linux.member(
            f"9:name=systemd:{path}\n4:memory:{path}\n3:cpuset:{path}\n1:cpu,cpuacct:{path}\n"
        )
        groups = linux.groups().groups
        assert groups == (v1_group(top, 512 * MIB),)
        assert groups[0].used_bytes() == 70 * MIB

    def test_every_level_that_limits(self, linux: FakeLinux) -> None:
        top = linux.v1(linux.mount(1, "cgroup/memory", options="memory"))
        linux.v1(top / "system.slice", 4096 * MIB)
        linux.v1(top / "system.slice/shop.slice", V1_UNLIMITED)
        own = linux.v1(top / "system.slice/shop.slice/shop.service", 512 * MIB)
        linux.member("4:memory:/system.slice/shop.slice/shop.service\n3:cpuset:/\n")
        assert linux.groups().groups == (
            v1_group(own, 512 * MIB),
            v1_group(top / "system.slice", 4096 * MIB),
        )

    def test_controllers_that_share_a_hierarchy(self, linux: FakeLinux) -> None:
        other = linux.mount(1, "cgroup/other", options="name=memory")
        top = linux.mount(1, "cgroup/cpuset,memory", options="cpuset,memory")
        linux.member("2:cpuset,memory:/shop\n1:name=memory:/other\n")
        linux.v1(top / "shop", 512 * MIB)
        for name in ("shop", "other"):
            linux.v1(other / name, 1 * MIB)
        assert linux.groups().groups == (v1_group(top / "shop", 512 * MIB),)

    @pytest.mark.parametrize("unlimited", [V1_UNLIMITED, 2**63 - 65536, 2**63 - 1])
    @pytest.mark.parametrize("meminfo", [True, False])
    def test_unlimited_whatever_the_size_of_a_page(
        self, linux: FakeLinux, unlimited: int, meminfo: bool
    ) -> None:
        top = linux.mount(1, "cgroup/memory", options="memory")
        linux.v1(top, unlimited)
        linux.member("4:memory:/\n")
        if not meminfo:
            (linux.proc / "meminfo").unlink()
        assert linux.groups().groups == ((linux.machine,) if meminfo else ())


class TestHybrid:
    MEMBER = "4:memory:/shop\n3:cpuset:/\n1:name=systemd:/\n0::/system.slice/shop.service\n"

    def test_memory_in_version_1(self, linux: FakeLinux) -> None:
        v1 = linux.mount(1, "cgroup/memory", options="memory")
        v2 = linux.mount(2, "cgroup/unified")
        (v2 / "system.slice/shop.service").mkdir(parents=True)
        linux.v1(v1 / "shop", 512 * MIB)
        linux.member(self.MEMBER)
        assert linux.groups().groups == (v1_group(v1 / "shop", 512 * MIB),)

    def test_version_2_goes_first(self, linux: FakeLinux) -> None:
        v1 = linux.mount(1, "cgroup/memory", options="memory")
        v2 = linux.mount(2, "cgroup/unified")
        linux.v1(v1 / "shop", 256 * MIB)
        own = linux.v2(v2 / "system.slice/shop.service", 512 * MIB)
        linux.member(self.MEMBER)
        assert linux.groups().groups == (v2_group(own, 512 * MIB),)

    def test_memory_in_version_2(self, linux: FakeLinux) -> None:
        linux.mount(1, "cgroup/memory", options="memory")
        v2 = linux.mount(2, "cgroup/unified")
        own = linux.v2(v2 / "system.slice/shop.service", 512 * MIB)
        linux.member(self.MEMBER)
        assert linux.groups().groups == (v2_group(own, 512 * MIB),)


class TestSeveralMounts:
    def test_one_that_works_is_taken(self, linux: FakeLinux) -> None:
        hidden = linux.mount(2, "cgroup")
        works = linux.mount(2, "chroot/sys/fs/cgroup")
        linux.member("0::/shop\n")
        linux.v2(works / "shop", 512 * MIB)
        shutil.rmtree(hidden)
        assert linux.groups().groups == (v2_group(works / "shop", 512 * MIB),)

    def test_one_that_shows_all_levels_goes_first(self, linux: FakeLinux) -> None:
        part = linux.v2(linux.mount(2, "part", root="/shop/worker"), 512 * MIB)
        whole = linux.mount(2, "whole")
        linux.v2(whole / "shop", 256 * MIB)
        linux.v2(whole / "shop/worker", 512 * MIB)
        linux.member("0::/shop/worker\n")
        groups = linux.groups()
        assert list(groups.groups) == [
            v2_group(whole / "shop/worker", 512 * MIB),
            v2_group(whole / "shop", 256 * MIB),
        ]
        shutil.rmtree(whole)
        assert groups.refresh()
        assert groups.groups == (v2_group(part, 512 * MIB),)

    def test_one_of_somebody_elses_group_is_not_read(self, linux: FakeLinux) -> None:
        linux.mount(2, "cgroup")
        linux.v2(linux.mount(2, "other", root="/other"), 1 * MIB)
        linux.member("0::/\n")
        assert linux.groups().groups == (linux.machine,)

    def test_one_of_a_single_file_is_nothing_unusual(
        self, linux: FakeLinux, caplog: pytest.LogCaptureFixture
    ) -> None:
        linux.write(linux.root / "limit", "536870912\n")
        linux.mount_line(f"40 25 0:40 /shop/memory.max {linux.root}/limit rw - cgroup2 cgroup2 rw")
        linux.member("0::/shop\n")
        assert linux.groups().groups == (linux.machine,)
        assert not caplog.records

    def test_one_with_an_impossible_escape_is_not_there(self, linux: FakeLinux) -> None:
        linux.mount_line("40 25 0:40 / /sys/\\777 rw - cgroup2 cgroup2 rw")
        linux.member("0::/\n")
        assert linux.groups().groups == (linux.machine,)

    def test_the_later_one_at_the_same_place_hides_the_other(self, linux: FakeLinux) -> None:
        linux.mount(2, "cgroup")
        top = linux.v2(linux.mount(2, "cgroup", root="/docker/5f2a"), 512 * MIB)
        linux.member("0::/docker/5f2a\n")
        assert linux.groups().groups == (v2_group(top, 512 * MIB),)


class TestPhysicalMemory:
    def test_where_nothing_is_mounted(self, linux: FakeLinux) -> None:
        groups = linux.groups()
        assert groups.groups == (linux.machine,)
        assert groups.groups[0].used_bytes() == (24684096 - 24175544) * 1024

    def test_where_no_level_limits(self, linux: FakeLinux) -> None:
        top = linux.mount(2, "cgroup")
        linux.v2(top / "shop")
        linux.member("0::/shop\n")
        assert linux.groups().groups == (linux.machine,)

    def test_a_limit_above_it_limits_nothing(self, linux: FakeLinux) -> None:
        top = linux.mount(2, "cgroup")
        linux.v2(top / "all", PHYSICAL)
        linux.v2(top / "all/shop", PHYSICAL + 4096)
        linux.member("0::/all/shop\n")
        assert linux.groups().groups == (v2_group(top / "all", PHYSICAL),)
        linux.v2(top / "all", PHYSICAL + 4096)
        assert linux.groups().groups == (linux.machine,)

    def test_groups_are_found_without_it(self, linux: FakeLinux) -> None:
        top = linux.mount(2, "cgroup")
        linux.v2(top, 512 * MIB)
        linux.v2(top / "shop")
        linux.member("0::/shop\n")
        (linux.proc / "meminfo").unlink()
        assert linux.groups().groups == (v2_group(top, 512 * MIB),)

    def test_without_proc_there_is_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        groups = MemoryGroups(str(tmp_path / "proc"))
        assert groups.groups == ()
        assert not groups.refresh()
        assert groups.pressure() is None
        assert not caplog.records

    def test_of_no_size_it_is_left_out(self, linux: FakeLinux) -> None:
        linux.write(linux.proc / "meminfo", MEMINFO.replace("24684096", "0"))
        assert linux.groups().groups == ()

    def test_without_an_estimate_of_what_is_available_it_is_left_out(
        self, linux: FakeLinux, caplog: pytest.LogCaptureFixture
    ) -> None:
        linux.write(linux.proc / "meminfo", MEMINFO.replace("MemAvailable", "MemAvail"))
        assert linux.groups().groups == ()
        assert "meminfo has no number of bytes as 'MemAvailable:'" in caplog.text


class TestRefresh:
    def test_a_limit_that_changes(self, linux: FakeLinux) -> None:
        own = linux.mount(2, "cgroup") / "shop"
        linux.v2(own, 512 * MIB)
        linux.member("0::/shop\n")
        groups = linux.groups()
        assert not groups.refresh()
        for limit in (256 * MIB, 1024 * MIB):
            linux.v2(own, limit)
            assert groups.refresh()
            assert groups.groups == (v2_group(own, limit),)
            assert not groups.refresh()
        linux.v2(own, "max")
        assert groups.refresh()
        assert groups.groups == (linux.machine,)

    def test_what_is_used_is_no_change(self, linux: FakeLinux) -> None:
        own = linux.mount(2, "cgroup") / "shop"
        linux.v2(own, 512 * MIB, used=100 * MIB)
        linux.member("0::/shop\n")
        groups = linux.groups()
        linux.v2(own, 512 * MIB, used=200 * MIB)
        assert not groups.refresh()
        assert groups.groups[0].used_bytes() == 170 * MIB

    def test_a_process_that_is_moved(self, linux: FakeLinux) -> None:
        top = linux.mount(2, "cgroup")
        linux.v2(top / "here", 512 * MIB)
        linux.v2(top / "there", 256 * MIB)
        linux.member("0::/here\n")
        groups = linux.groups()
        linux.member("0::/there\n")
        assert groups.refresh()
        assert groups.groups == (v2_group(top / "there", 256 * MIB),)

    def test_a_process_that_is_moved_to_an_unlimited_group(self, linux: FakeLinux) -> None:
        top = linux.mount(2, "cgroup")
        linux.v2(top / "here", 512 * MIB)
        linux.member("0::/here\n")
        groups = linux.groups()
        linux.member("0::/\n")
        assert groups.refresh()
        assert groups.groups == (linux.machine,)

    def test_a_group_that_vanishes(
        self, linux: FakeLinux, caplog: pytest.LogCaptureFixture
    ) -> None:
        top = linux.v2(linux.mount(2, "cgroup"), 1024 * MIB)
        own = linux.v2(top / "shop", 512 * MIB)
        linux.member("0::/shop\n")
        groups = linux.groups()
        vanished = groups.groups[0]
        shutil.rmtree(own)
        assert groups.refresh()
        assert groups.groups == (v2_group(top, 1024 * MIB),)
        with pytest.raises(FileNotFoundError):
            vanished.used_bytes()
        assert not caplog.records

    def test_a_hierarchy_that_is_mounted_late(self, linux: FakeLinux) -> None:
        linux.member("4:memory:/shop\n0::/\n")
        groups = linux.groups()
        assert groups.groups == (linux.machine,)
        top = linux.mount(1, "cgroup/memory", options="memory")
        linux.v1(top / "shop", 512 * MIB)
        assert groups.refresh()
        assert groups.groups == (v1_group(top / "shop", 512 * MIB),)

    def test_physical_memory_that_changes(self, linux: FakeLinux) -> None:
        groups = linux.groups()
        linux.write(linux.proc / "meminfo", MEMINFO.replace("24684096", "24684100"))
        assert groups.refresh()
        assert groups.groups[0].limit_bytes == PHYSICAL + 4096


NOT_A_NUMBER = [
    "",
    "\n",
    "x\n",
    "-1\n",
    "1_000\n",
    "1e9\n",
    "12 13\n",
    "12\n13\n",
    "٣\n",
    "9" * 5000,
]


class TestWhatCannotBeUsed:
    @pytest.fixture
    def own(self, linux: FakeLinux) -> Path:
        """A group with a limit, within one that has a limit too."""
        top = linux.mount(2, "cgroup")
        linux.v2(top / "all", 1024 * MIB)
        linux.member("0::/all/shop\n")
        return linux.v2(top / "all/shop", 512 * MIB)

    @pytest.mark.parametrize("text", NOT_A_NUMBER, ids=lambda text: ascii(text[:10]))
    @pytest.mark.parametrize("file", ["memory.max", "memory.high", "memory.current"])
    def test_a_malformed_number_takes_its_level_out(
        self,
        linux: FakeLinux,
        own: Path,
        caplog: pytest.LogCaptureFixture,
        file: str,
        text: str,
    ) -> None:
        linux.write(own / file, text)
        groups = linux.groups()
        groups.refresh()
        assert groups.groups == (v2_group(own.parent, 1024 * MIB),)
        assert len(caplog.records) == 1
        assert caplog.records[0].name == "gcctl"
        assert caplog.records[0].levelno == logging.WARNING
        assert str(own) in caplog.text

    def test_the_warning_names_file_and_value(
        self, linux: FakeLinux, own: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        linux.write(own / "memory.max", "plenty\n")
        linux.groups()
        assert f"{own}/memory.max reads b'plenty\\n', expected a number of bytes" in caplog.text

    def test_the_level_is_back_when_the_file_is_in_order(self, linux: FakeLinux, own: Path) -> None:
        linux.write(own / "memory.max", "x")
        groups = linux.groups()
        linux.v2(own, 512 * MIB)
        assert groups.refresh()
        assert groups.groups[0] == v2_group(own, 512 * MIB)

    @pytest.mark.parametrize(
        "text", ["", "inactive_file\n", "inactive_file x\n", "a_inactive_file 1\n"]
    )
    def test_malformed_statistics_take_their_level_out(
        self, linux: FakeLinux, own: Path, caplog: pytest.LogCaptureFixture, text: str
    ) -> None:
        linux.write(own / "memory.stat", text)
        assert linux.groups().groups == (v2_group(own.parent, 1024 * MIB),)
        assert "memory.stat has no number of bytes as 'inactive_file'" in caplog.text

    @pytest.mark.parametrize("file", ["memory.max", "memory.high", "memory.current", "memory.stat"])
    def test_an_unreadable_file_takes_its_level_out(
        self, linux: FakeLinux, own: Path, caplog: pytest.LogCaptureFixture, file: str
    ) -> None:
        (own / file).unlink()
        (own / file).mkdir()
        groups = linux.groups()
        groups.refresh()
        assert groups.groups == (v2_group(own.parent, 1024 * MIB),)
        assert len(caplog.records) == 1
        assert "Is a directory" in caplog.text

    @pytest.mark.parametrize("file", ["memory.max", "memory.current", "memory.stat"])
    def test_an_absent_file_is_not_mentioned(
        self, linux: FakeLinux, own: Path, caplog: pytest.LogCaptureFixture, file: str
    ) -> None:
        (own / "memory.high").unlink()
        assert linux.groups().groups[0] == v2_group(own, 512 * MIB)
        (own / file).unlink()
        assert linux.groups().groups == (v2_group(own.parent, 1024 * MIB),)
        assert not caplog.records

    @pytest.mark.parametrize("file", ["self/cgroup", "self/mountinfo", "meminfo"])
    def test_an_unreadable_file_of_proc(
        self, linux: FakeLinux, own: Path, caplog: pytest.LogCaptureFixture, file: str
    ) -> None:
        (linux.proc / file).unlink()
        (linux.proc / file).mkdir()
        groups = linux.groups()
        groups.refresh()
        assert groups.groups[-1] == (
            v2_group(own.parent, 1024 * MIB) if file == "meminfo" else linux.machine
        )
        assert len(caplog.records) == 1

    def test_used_bytes_raises_when_a_file_went_bad(self, linux: FakeLinux, own: Path) -> None:
        group = linux.groups().groups[0]
        linux.write(own / "memory.current", "max\n")
        with pytest.raises(ValueError, match=r"memory\.current reads b'max"):
            group.used_bytes()
        (own / "memory.current").unlink()
        (own / "memory.current").mkdir()
        with pytest.raises(IsADirectoryError):
            group.used_bytes()

    def test_broken_logging_is_survived(
        self, linux: FakeLinux, own: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*args: object, **kwargs: object) -> None:
            raise RuntimeError("broken")

        linux.write(own / "memory.max", "x")
        monkeypatch.setattr(logging.Logger, "warning", broken)
        assert linux.groups().groups == (v2_group(own.parent, 1024 * MIB),)


class TestPressure:
    def test_of_the_whole_system_where_there_is_no_group(self, linux: FakeLinux) -> None:
        assert linux.groups().pressure() == pytest.approx(0.1234)

    def test_of_the_own_group_also_where_memory_is_in_version_1(self, linux: FakeLinux) -> None:
        v1 = linux.mount(1, "cgroup/memory", options="memory")
        v2 = linux.mount(2, "cgroup/unified")
        linux.v1(v1 / "shop", 512 * MIB)
        linux.write(v2 / "shop/memory.pressure", PRESSURE.format(some="55.00"))
        linux.member("4:memory:/shop\n0::/shop\n")
        groups = linux.groups()
        assert groups.groups == (v1_group(v1 / "shop", 512 * MIB),)
        assert groups.pressure() == pytest.approx(0.55)

    def test_follows_a_process_that_is_moved(self, linux: FakeLinux) -> None:
        top = linux.mount(2, "cgroup")
        for name, some in ("here", "0.00"), ("there", "100.00"):
            linux.v2(top / name, 512 * MIB)
            linux.write(top / name / "memory.pressure", PRESSURE.format(some=some))
        linux.member("0::/here\n")
        groups = linux.groups()
        assert groups.pressure() == 0
        linux.member("0::/there\n")
        groups.refresh()
        assert groups.pressure() == 1
        shutil.rmtree(top / "there")
        assert groups.pressure() == pytest.approx(0.1234)

    def test_none_where_the_kernel_has_none(self, linux: FakeLinux) -> None:
        (linux.proc / "pressure/memory").unlink()
        assert linux.groups().pressure() is None

    def test_none_where_it_is_unreadable(self, linux: FakeLinux) -> None:
        (linux.proc / "pressure/memory").unlink()
        (linux.proc / "pressure/memory").mkdir()
        assert linux.groups().pressure() is None

    @pytest.mark.parametrize(
        "text", ["", "\0", "some\n", "some avg60=1.00 avg300=0.00\n", "full avg10=1.00 "]
    )
    def test_none_where_it_is_malformed(self, linux: FakeLinux, text: str) -> None:
        linux.write(linux.proc / "pressure/memory", text)
        assert linux.groups().pressure() is None

    @pytest.mark.parametrize(
        "some", ["nan", "inf", "-1.00", "100.01", "1e3", f"{10**400}.0"], ids=lambda some: some[:10]
    )
    def test_none_where_it_is_no_share(self, linux: FakeLinux, some: str) -> None:
        linux.write(linux.proc / "pressure/memory", PRESSURE.format(some=some))
        assert linux.groups().pressure() is None

    @given(hundredths=st.integers(0, 10_000))
    def test_any_share(self, tmp_path_factory: pytest.TempPathFactory, hundredths: int) -> None:
        linux = FakeLinux(tmp_path_factory.getbasetemp() / "share")
        some = f"{hundredths // 100}.{hundredths % 100:02}"
        linux.write(linux.proc / "pressure/memory", PRESSURE.format(some=some))
        assert linux.groups().pressure() == pytest.approx(hundredths / 10_000)


@contextmanager
def fresh_linux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeLinux]:
    """One for each of Hypothesis's examples."""
    root = tmp_path_factory.mktemp("linux")
    try:
        yield FakeLinux(root)
    finally:
        shutil.rmtree(root)


@given(
    version=st.sampled_from([1, 2]),
    limits=st.lists(
        st.none() | st.integers(0, PHYSICAL) | st.integers(PHYSICAL + 1, 2**70), max_size=6
    ),
    used=st.integers(0, 2**40),
    cache=st.integers(0, 2**40),
)
def test_any_chain(
    tmp_path_factory: pytest.TempPathFactory,
    version: int,
    limits: list[int | None],
    used: int,
    cache: int,
) -> None:
    with fresh_linux(tmp_path_factory) as linux:
        directory = linux.mount(version, "cgroup", options="memory" if version == 1 else "")
        expected: list[Group] = []
        for depth, limit in enumerate(limits):
            directory = directory / f"level{depth}"
            if version == 1:
                text = V1_UNLIMITED if limit is None else limit
                linux.v1(directory, text, used=used, cache=cache)
            else:
                linux.v2(directory, "max" if limit is None else limit, used=used, cache=cache)
            if limit is not None and limit <= PHYSICAL:
                make = v1_group if version == 1 else v2_group
                expected.insert(0, make(directory, limit))
        path = "/" + "/".join(f"level{depth}" for depth in range(len(limits)))
        linux.member(f"4:memory:{path}\n" if version == 1 else f"0::{path}\n")
        groups = linux.groups().groups
        assert groups == tuple(expected or [linux.machine])
        if expected:
            assert {group.used_bytes() for group in groups} == {max(used - cache, 0)}


# Pieces that the parsers look for, so that more than the first check is reached.
PIECES = st.sampled_from(
    [
        *("max", "0", "12", "9" * 5000, "-1", "\n", " ", "/", "/shop", "/..", ":", "0::/shop\n"),
        *("memory", "4:memory:/shop\n", " - ", "cgroup2 cgroup2 rw\n", "cgroup cgroup rw,memory\n"),
        *("26 25 0:26 / ", "MOUNT", " rw,relatime", "\\040", "\\777", "\\000", "/tmp/\\000"),
        *("MemTotal:", "MemAvailable: ", " kB\n", "inactive_file ", "some avg10=", "1.00 ", "\0"),
    ]
)
CONTENTS = st.binary(max_size=50) | st.lists(PIECES, max_size=12).map("".join).map(str.encode)


FILES = [
    "proc/self/cgroup",
    "proc/self/mountinfo",
    "proc/meminfo",
    "proc/pressure/memory",
    *(f"cgroup/shop/memory.{name}" for name in ("max", "high", "current", "stat", "pressure")),
    *(f"cgroup/shop/memory.{name}" for name in ("limit_in_bytes", "usage_in_bytes")),
]


@given(contents=st.fixed_dictionaries({}, optional=dict.fromkeys(FILES, CONTENTS)))
def test_no_contents_of_files_raise(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]
) -> None:
    with fresh_linux(tmp_path_factory) as linux:
        top = linux.mount(2, "cgroup")
        linux.v2(top / "shop", 512 * MIB)
        linux.member("0::/shop\n")
        intact = linux.groups()
        for file, text in contents.items():
            (linux.root / file).parent.mkdir(parents=True, exist_ok=True)
            (linux.root / file).write_bytes(text.replace(b"MOUNT", os.fsencode(top)))
        intact.refresh()
        for groups in (intact, linux.groups()):
            pressure = groups.pressure()
            assert pressure is None or 0 <= pressure <= 1
            for group in groups.groups:
                assert group.limit_bytes >= 0
                with suppress(OSError, ValueError):
                    assert group.used_bytes() >= 0


class Report(NamedTuple):
    """What a process found: whether its groups changed, and each group's name, limit and use."""

    changed: bool
    groups: list[tuple[str, int, int]]

    @property
    def limits(self) -> list[tuple[str, int]]:
        return [(name, limit_bytes) for name, limit_bytes, _ in self.groups]


class Reporter:
    """A process that finds its groups and finds them again, whenever it is asked."""

    PROGRAM = """
        import json, sys
        from gcctl._memory.cgroup import MemoryGroups

        groups, kept = None, []
        for line in sys.stdin:
            kept.append(b"x" * int(line))
            if groups is None:
                groups, changed = MemoryGroups(), True
            else:
                changed = groups.refresh()
            found = [(g.name, g.limit_bytes, g.used_bytes()) for g in groups.groups]
            print(json.dumps([changed, found]), flush=True)
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", textwrap.dedent(self.PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, allocate_bytes: int = 0) -> Report:
        """What it finds now, after it took that much more memory."""
        assert self._process.stdin
        assert self._process.stdout
        print(allocate_bytes, file=self._process.stdin, flush=True)
        changed, groups = json.loads(self._process.stdout.readline())
        return Report(changed, [tuple(group) for group in groups])


@pytest.mark.skipif(sys.platform != "linux", reason="needs the proc file system")
class TestThisMachine:
    def test_this_process_has_a_limit(self) -> None:
        groups = MemoryGroups()
        assert groups.groups
        for group in groups.groups:
            assert 0 < group.limit_bytes <= psutil.virtual_memory().total
            assert group.used_bytes() > 0
        pressure = groups.pressure()
        assert pressure is None or 0 <= pressure <= 1

    def test_nested_groups(self) -> None:
        with (
            real_cgroup(96 * MIB) as outer,
            real_cgroup(128 * MIB, outer) as inner,
            Reporter() as reporter,
        ):
            inner.add(reporter.pid)
            assert reporter.ask().limits[:2] == [
                (f"cgroup {inner.directory}", 128 * MIB),
                (f"cgroup {outer.directory}", 96 * MIB),
            ]

    def test_used_grows_by_what_is_allocated(self) -> None:
        with real_cgroup(128 * MIB) as group, Reporter() as reporter:
            group.add(reporter.pid)
            _, _, before = reporter.ask().groups[0]
            _, _, after = reporter.ask(32 * MIB).groups[0]
            assert 28 * MIB < after - before < 40 * MIB

    def test_a_group_removed_while_its_file_is_open_is_gone(self) -> None:
        with ExitStack() as stack:
            with real_cgroup(128 * MIB) as made:
                found = next(made.directory.glob("memory.*limit_in_bytes"), None)
                file = stack.enter_context(open(found or made.directory / "memory.max"))
            group = Group("removed", 128 * MIB, f"/proc/self/fd/{file.fileno()}", False)
            with pytest.raises(FileNotFoundError):
                group.used_bytes()

    def test_limits_that_change_and_a_process_that_is_moved(self) -> None:
        with (
            real_cgroup(128 * MIB) as here,
            real_cgroup(192 * MIB) as there,
            Reporter() as reporter,
        ):
            here.add(reporter.pid)
            reporter.ask()
            report = reporter.ask()
            assert not report.changed
            assert report.limits[0] == (f"cgroup {here.directory}", 128 * MIB)
            here.set_limit(96 * MIB)
            report = reporter.ask()
            assert report.changed
            assert report.limits[0] == (f"cgroup {here.directory}", 96 * MIB)
            there.add(reporter.pid)
            report = reporter.ask()
            assert report.changed
            assert report.limits[0] == (f"cgroup {there.directory}", 192 * MIB)
