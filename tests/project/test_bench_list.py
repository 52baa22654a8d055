"""Every benchmark is in the list of `python -m bench`, and measures the gcctl that is installed."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import BENCH, ROOT
from run_bench import start_bench, start_python

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="there is no bench/ beside tests/")

NO_WORKERS = {"bench.__main__", "bench.start"}
"""Started, but not by a benchmark."""

IMPORT_ALL = """
import importlib, json
from bench.catalogue import BENCHMARKS
found = []
for each in BENCHMARKS:
    row = {"name": each.name, "shows": each.shows, "module": each.module}
    row |= {"takes": [each.takes, each.takes_quick], "lacking": each.lacking()}
    if not row["lacking"]:
        row["has_main"] = callable(importlib.import_module(each.module).main)
    found.append(row)
print(json.dumps(found))
"""


def python(code: str, **environment: str) -> str:
    done = start_python("-c", code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules() -> dict[str, Path]:
    """Of the benchmarks, by dotted name. The sample programs are what is run, not what runs."""
    files = (path for path in BENCH.rglob("*.py") if "samples" not in path.parts)
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}


def has_main(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)


def is_script(tree: ast.Module) -> bool:
    """Whether it has an `if __name__ == "__main__"`."""
    return any(
        isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        for node in tree.body
    )


def test_every_benchmark_has_its_line_and_can_be_imported() -> None:
    rows = json.loads(python(IMPORT_ALL))
    assert len({row["name"] for row in rows}) == len(rows) > 0
    listing = [" ".join(line.split()) for line in start_bench().stdout.splitlines()]
    for row in rows:
        line = " ".join([row["name"], row["shows"], *row["takes"]])
        assert all([row["shows"], *row["takes"]])
        assert sum(each.startswith(line) for each in listing) == 1, line
        assert row["lacking"] or row["has_main"]


def test_every_entry_point_is_in_the_list() -> None:
    trees = {name: ast.parse(path.read_text()) for name, path in modules().items()}
    entries = {name for name, tree in trees.items() if has_main(tree) and not is_script(tree)}
    assert entries == {row["module"] for row in json.loads(python(IMPORT_ALL))}


def test_every_worker_is_started_by_a_benchmark() -> None:
    texts = {name: path.read_text() for name, path in modules().items()}
    workers = {name for name, text in texts.items() if is_script(ast.parse(text))} - NO_WORKERS
    assert workers
    for worker in workers:
        assert (ast.get_docstring(ast.parse(texts[worker])) or "").startswith("A worker process")
        others = [text for name, text in texts.items() if name != worker]
        named = (f'"{worker}"', f'"{modules()[worker].name}"')
        assert any(name in text for text in others for name in named), f"nothing starts {worker}"


def installed_gcctl() -> str:
    command = [sys.executable, "-Ic", "import gcctl; print(gcctl.__file__)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return str(Path(done.stdout.strip()).parent.resolve())


WHERE = "import concurrent.futures, gcctl\nprint(gcctl.__file__, concurrent.futures.__file__)\n"
IN_A_CHILD = """
import os, subprocess
from bench.installed import MEASURED, gcctl_folder
from bench.support.processes import command, environment
os.environ[MEASURED] = gcctl_folder()
subprocess.run(command("where"), env=environment(), check=True)
"""


@pytest.mark.parametrize("folders", [[], [ROOT]], ids=["no PYTHONPATH", "the sources on it"])
def test_benchmarks_and_their_children_measure_the_installed_gcctl(
    folders: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "where.py").write_text(WHERE)
    path = os.pathsep.join(map(str, [*folders, tmp_path]))
    done = start_bench("memory", "--help", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.rstrip().endswith(f" in {installed_gcctl()}")
    of_gcctl, of_futures = python(IN_A_CHILD, PYTHONPATH=path).split()
    assert str(Path(of_gcctl).parent.resolve()) == installed_gcctl()
    assert not Path(of_futures).is_relative_to(BENCH)  # bench/concurrent does not hide it


def test_a_child_that_would_measure_another_gcctl_ends() -> None:
    done = start_python("-P", "bench/start.py", "this", BENCH_GCCTL="/elsewhere/gcctl")
    assert done.returncode == 1
    assert "and not the one in /elsewhere/gcctl" in done.stderr


def test_what_is_missing_is_said() -> None:
    done = start_bench("instructions", PATH="")
    assert done.returncode == 1
    assert "instructions needs what is not here" in done.stderr
    assert "valgrind" in done.stderr


def test_a_benchmark_that_there_is_not() -> None:
    done = start_bench("hurry")
    assert done.returncode == 2
    assert "there is no benchmark 'hurry'" in done.stderr


RUN_ALL = """
import sys
from bench import __main__ as entry
from bench.catalogue import Benchmark, Need, find
entry.BENCHMARKS = (
    find("soak"),
    Benchmark("lame", "", "", "", "", (Need("a crutch", programs=("no-such-program",)),)),
    *[Benchmark("broken", "", "", "", "")] * int(sys.argv[1]),
)
sys.exit(entry.run_all(["--quick"]))
"""


@pytest.mark.parametrize("broken", [0, 1])
def test_all_runs_what_it_can_and_says_what_failed(broken: int) -> None:
    done = start_python("-c", RUN_ALL, str(broken))
    assert done.returncode == broken, done.stderr
    ends = [" ".join(line.split()) for line in done.stdout.splitlines()[-2 - broken :]]
    expected = ["soak done", "lame left out, for want of no-such-program (a crutch)"]
    assert ends == expected + ["broken FAILED with status 2"] * broken
