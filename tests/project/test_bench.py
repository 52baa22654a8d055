"""The benchmarks run, so that none of them rots; how fast anything is is not judged here."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from paths import BENCH
from run_bench import bench, bench_lines

NEEDED = ("pyperf", "Cython", "setuptools", "gcctl._core.compiled")
OF_SERVICE = ("django", "gunicorn", "starlette", "uvicorn")

missing, missing_of_service = (
    [name for name in names if importlib.util.find_spec(name) is None]
    for names in (NEEDED, OF_SERVICE)
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BENCH.is_dir(), reason="there is no bench/ beside tests/"),
    pytest.mark.skipif(
        os.environ.get("GCCTL_IMPL") == "python",
        reason="measures both twins whichever is asked for: once is enough",
    ),
    pytest.mark.skipif(bool(missing), reason=f"bench/ needs {', '.join(missing)}"),
]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, Any]]:
    file = tmp_path_factory.mktemp("bench") / "results.json"
    lines = bench_lines("boundary", "--quick", "--json", str(file))
    return lines, json.loads(file.read_text(encoding="utf-8"))


def test_the_one_command_prints_every_row(quick: tuple[list[str], dict[str, Any]]) -> None:
    lines, results = quick
    columns = {
        "timings": "statement",
        "memory": "statement",
        "recording": "collection",
        "monitoring": "collection",
        "accuracy": "collection",
        "returned": "kind",
        "stalls": "stalled",
    }
    starts = [
        f"{row.get('subject', 'gcctl, C core')} {row[column]}"
        for part, column in columns.items()
        for row in results[part]
    ]
    starts += [f"{row['subject']} {row['objects']:,} lists" for row in results["batch"]]
    starts += [f"boundaries {results['soak']['boundaries']:,}"]
    starts += concurrent_starts(results["concurrent"])
    starts += [target["name"] for target in results["targets"]]
    assert [start for start in starts if not any(line.startswith(start) for line in lines)] == []
    groups = {"idle", "tick", "due", "seen", "monitoring", "check"}
    assert {row["group"] for row in results["timings"]} == groups
    of_concurrent = 3 if measured(results["concurrent"]["heaps"]) else 1
    assert len(results["targets"]) == 17 + of_concurrent


def measured(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what there was no memory for, or what cannot be here."""
    return [row for row in rows if "skipped" not in row]


def concurrent_starts(results: dict[str, Any]) -> list[str]:
    parts = {part: results[part] for part in ("heaps", "garbage", "service")}
    return [
        *(f"{row['kind']} {row['tracked']:,}" for row in measured(parts["heaps"])),
        *(f"up to {row['largest']:,} {row['dead']:,}" for row in measured(parts["garbage"])),
        *(
            f"{row['where']} {since} {row['requests']:.0f}"
            for row in measured(parts["service"])
            for since in ("due", "begun")
        ),
        *(
            f"left out: {row.get('kind') or row['where']}, {row['objects']:,}"
            for rows in parts.values()
            for row in rows
            if "skipped" in row
        ),
    ]


def test_the_compiled_core_asks_for_no_memory_at_a_boundary(
    quick: tuple[list[str], dict[str, Any]],
) -> None:
    ours = [row for row in quick[1]["memory"] if row["subject"] == "gcctl, C core"]
    idle = [row["allocations_per_boundary"] for row in ours if row["group"] != "due"]
    assert idle == [0.0, 0.0, 0.0, 0.0]


def test_a_simulated_day_has_all_that_may_happen(quick: tuple[list[str], dict[str, Any]]) -> None:
    day = quick[1]["soak"]
    assert all(day["alerts"].values())
    assert day["failures"] > day["by_reason"]["emergency"] > 0
    assert day["by_reason"]["scheduled"] + day["by_reason"]["emergency"] == day["boundaries"]
    assert day["simulated_seconds"] >= day["boundaries"] * 0.00864


def test_memory_is_measured_by_itself_too() -> None:
    lines = bench_lines("memory", "--quick")
    assert [line for line in lines if line.startswith("gcctl, C core 50,000 lists")]


def test_the_soak_prints_a_row_in_json() -> None:
    day = json.loads(bench("soak", "300000"))
    assert day["boundaries"] >= 300_000


def test_concurrent_collections_leave_nothing(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    lines = bench_lines("concurrent", "--live", "20000", "--quick", "--json", str(file))
    results = json.loads(file.read_text(encoding="utf-8"))
    starts = concurrent_starts(results)
    assert [start for start in starts if not any(line.startswith(start) for line in lines)] == []
    rows = measured(results["heaps"] + results["garbage"])
    if not rows:
        pytest.skip(results["heaps"][0]["skipped"])
    assert [(row["kind"], row["objects"], row["left"]) for row in rows] == [
        ("fresh", 20_000, 0),
        ("aged", 20_000, 0),
        ("fresh", 20_000, 0),
        ("fresh", 20_000, 0),
    ]
    assert [row["dead"] for row in rows] == [40_000, 40_000, 20_000, 20_000]


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs os.wait4()")
def test_ordinary_programs_print_the_same_in_all_modes(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    lines = bench_lines("programs", "--quick", "--json", str(file))
    results = json.loads(file.read_text(encoding="utf-8"))
    starts = [f"{row['program']} {row['kind']}" for row in results["watched"]]
    starts += [f"{row['program']} {row['mode']}" for row in results["programs"]]
    starts += [f"left out: {mode}" for mode in results["left_out"]]
    starts += [target["name"] for target in results["targets"]]
    assert [start for start in starts if not any(line.startswith(start) for line in lines)] == []
    scripts = {path.name for path in (BENCH / "programs" / "samples").glob("*.py")}
    assert {row["file"] for row in results["watched"]} == scripts
    printed = {row["program"]: row["printed"] for row in results["watched"]}
    modes = {"plain", "off", "disabled", "raised", "auto"} - results["left_out"].keys()
    for row in results["runs"]:
        assert row["printed"] == printed[row["program"]] != ""
        assert min(row["seconds"], row["cpu_seconds"], row["peak_bytes"]) > 0
    assert {(row["program"], row["mode"]) for row in results["runs"]} == {
        (program, mode) for program in printed for mode in modes
    }


@pytest.mark.skipif(
    bool(missing_of_service),
    reason=f"bench/service needs {', '.join(missing_of_service)}: the dependency group service",
)
def test_a_service_answers_every_request_in_every_mode(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    modes = ("automatic", "source", "young", "off", "frozen")
    lines = bench_lines("service", "--quick", "--modes", *modes, "--json", str(file))
    cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    assert [case["case"]["server"] for case in cases] == ["sync", "gthread", "asgi"]
    for case in cases:
        assert any(line.startswith(f"{case['case']['name']}: ") for line in lines)
        rows = case["modes"]
        assert tuple(rows) == modes
        # Every request was answered, and had its boundary.
        assert [row["errors"] for row in rows.values()] == [0] * len(modes)
        assert [row["requests"] - row["answered"] for row in rows.values()] == [0] * len(modes)
        assert len({row["answered"] for row in rows.values()}) == 1
        # Generation 0 at each boundary, and no other collection.
        assert rows["young"]["collections"] == [rows["young"]["requests"], 0, 0]
        assert rows["source"]["collections"][1] > 0
        assert rows["off"]["collections"] == [0, 0, 0]


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_instructions_are_counted() -> None:
    lines = bench_lines("instructions", "--quick")
    assert any("gcctl.tick()" in line for line in lines)
