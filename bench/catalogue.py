"""The list of all benchmarks."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """What has to be there for a benchmark."""

    text: str
    """How to get it, or what it is."""
    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    linux: bool = False

    def lacking(self) -> str:
        """The parts of it that are missing, and how to get them; "": none."""
        names = [
            *(name for name in self.modules if importlib.util.find_spec(name) is None),
            *(name for name in self.programs if shutil.which(name) is None),
            *([self.text] if self.linux and not sys.platform.startswith("linux") else []),
        ]
        missing = ", ".join(names)
        return missing if missing in ("", self.text) else f"{missing} ({self.text})"


LINUX = Need("Linux", linux=True)
VALGRIND = Need("valgrind", programs=("valgrind",))
COMPILING = Need("pip install '.[bench]', a C compiler", modules=("pyperf", "Cython", "setuptools"))
GUNICORN = Need("pip install gunicorn", modules=("gunicorn",))
UVICORN = Need("pip install gunicorn uvicorn", modules=("gunicorn", "uvicorn"))
SERVICE = Need(
    "pip install --group service", modules=("django", "gunicorn", "starlette", "uvicorn")
)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: its module has a function `main`, which reads sys.argv."""

    name: str
    shows: str
    takes: str
    """For all of it, on an idle machine with two cores."""
    takes_quick: str
    """The same with --quick."""
    module: str
    needs: tuple[Need, ...] = ()

    def lacking(self) -> str:
        """What is missing and how to get it; "": nothing."""
        return "; ".join(filter(None, (need.lacking() for need in self.needs)))


BENCHMARKS = (
    Benchmark(
        "boundary",
        "what gcctl costs: a boundary, a tick, a recorded pause, a check; and `memory` too",
        "3 min",
        "30 s",
        "bench.boundary.run",
        (COMPILING,),
    ),
    Benchmark(
        "instructions",
        "instructions per boundary and tick, which no neighbour changes",
        "30 s",
        "15 s",
        "bench.boundary.instructions",
        (COMPILING, VALGRIND),
    ),
    Benchmark(
        "explicit",
        "how much longer a `gc.collect()` of the program takes where gcctl is installed",
        "1 min",
        "5 s",
        "bench.explicit.run",
    ),
    Benchmark(
        "memory",
        "memory given back over a limit, how long threads wait meanwhile, batch()",
        "1 min",
        "2 s",
        "bench.memory.run",
    ),
    Benchmark(
        "concurrent",
        "how long concurrent full collections stop a process, and what they cost it",
        "50 min, 5 GB",
        "15 s",
        "bench.concurrent.run",
    ),
    Benchmark(
        "staggering",
        "how much full collections of several workers overlap, with `stagger` or not",
        "40 s",
        "5 s",
        "bench.concurrent.staggering",
    ),
    Benchmark(
        "middleware",
        "requests per second that the middleware costs a server",
        "5 min",
        "10 s",
        "bench.servers.middleware",
        (UVICORN,),
    ),
    Benchmark(
        "preload",
        "whether memory that gunicorn workers share with their master stays shared",
        "30 s",
        "10 s",
        "bench.servers.preload",
        (GUNICORN, LINUX),
    ),
    Benchmark(
        "soak",
        "whether anything grows in a simulated day of a service",
        "2 min",
        "2 s",
        "bench.soak.day",
    ),
    Benchmark(
        "soak-gunicorn",
        "whether a request fails, or a worker grows, in a million requests",
        "20 min",
        "5 s",
        "bench.soak.gunicorn_workers",
        (GUNICORN, LINUX),
    ),
    Benchmark(
        "soak-programs",
        "whether finalizers run in threads of the program only, in programs that run on",
        "18 min",
        "90 s",
        "bench.soak.programs",
    ),
    Benchmark(
        "suites",
        "which tests of other projects end otherwise under `gcctl run`",
        "20 min",
        "30 s",
        "bench.suites.run",
    ),
    Benchmark(
        "programs",
        "time and memory of ordinary programs under `gcctl run`, against python",
        "40 min",
        "25 s",
        "bench.programs.run",
    ),
    Benchmark(
        "service",
        "latency and memory of a web service under each way of collecting garbage",
        "90 min",
        "1 min",
        "bench.service.run",
        (SERVICE, LINUX),
    ),
)


def find(name: str) -> Benchmark | None:
    return next((each for each in BENCHMARKS if each.name == name), None)
