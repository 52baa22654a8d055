"""Starts a process of a benchmark: `python -P bench/start.py MODULE [ARGUMENTS ...]`.

The module runs as `python -m MODULE` would run it. It finds the package `bench` wherever it is
started, and the same gcctl as the benchmark that started it. The folder of the benchmarks is not
on sys.path: its `concurrent` would hide the one of the standard library.
"""

import importlib.util
import os
import runpy
import sys


def make_bench_importable() -> None:
    here = os.path.dirname(os.path.realpath(__file__))
    spec = importlib.util.spec_from_file_location(
        "bench", os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    make_bench_importable()
    from bench.installed import demand_same_gcctl

    demand_same_gcctl()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
