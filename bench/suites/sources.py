"""Where the tests of a suite are, and the python that runs them.

The tests of another project run in an environment of their own, for they start processes that know
nothing of ours. The measured gcctl is linked into it. All else comes from the package index, by
pip.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from bench.installed import gcctl_folder
from bench.suites.catalogue import CPYTHON, Suite

READY = "ready"
"""A file that is made when everything else is there."""


class Sources(NamedTuple):
    """Of one suite."""

    folder: Path
    """Where its tests are run."""
    python: str
    own_environment: bool


def lacking(suite: Suite) -> str:
    """Why it cannot be run; "": it can, as far as is known before."""
    if suite.runner == CPYTHON:
        missing = [part.tests for part in suite.parts if not _has_test(part.tests)]
        return f"this python was installed without {', '.join(missing)}" if missing else ""
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    return f"this python has no {', '.join(missing)}" if missing else ""


def _has_test(name: str) -> bool:
    try:
        return importlib.util.find_spec(f"test.{name}") is not None
    except ModuleNotFoundError:
        return False


def fetch(suite: Suite, cache: Path) -> Sources:
    """Get them into the folder `cache`, unless they are there. Raises CalledProcessError."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    name, _, version = suite.distribution.partition("==")
    folder = cache / "-".join(filter(None, (suite.name, version, python)))
    if suite.runner == CPYTHON:
        folder.mkdir(parents=True, exist_ok=True)  # the tests write where they are run
        return Sources(folder, sys.executable, own_environment=False)
    environment, tests = folder / "environment", folder / "tests"
    if not (folder / READY).exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(environment))
        pip = (_python(environment), "-m", "pip", "--disable-pip-version-check", "-q")
        archives = str(folder / "archives")
        # Only this one: what is needed to read its metadata would be compiled otherwise.
        from_source = ("--no-deps", "--no-binary", name, "--dest", archives)
        _run(*pip, "download", *from_source, suite.distribution)
        for archive in Path(archives).iterdir():
            shutil.unpack_archive(archive, tests, filter="data")
        _run(*pip, "install", suite.distribution, *suite.requirements)
        (folder / READY).touch()
    _link_gcctl(environment)
    (source,) = tests.iterdir()
    return Sources(source, _python(environment), own_environment=True)


def _python(environment: Path) -> str:
    return str(environment / "bin" / "python")


def _link_gcctl(environment: Path) -> None:
    """Have the environment use the measured gcctl, and what that needs."""
    code = "import sysconfig; print(sysconfig.get_path('platlib'))"
    done = subprocess.run(
        [_python(environment), "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    libraries = Path(done.stdout.strip())
    gcctl = Path(gcctl_folder())
    psutil = importlib.util.find_spec("psutil")
    assert psutil is not None
    assert psutil.origin is not None
    for original in (gcctl, gcctl.with_name("_gcctl_cli.py"), Path(psutil.origin).parent):
        link = libraries / original.name
        link.unlink(missing_ok=True)
        link.symlink_to(original)


def _run(*words: str) -> None:
    subprocess.run(words, check=True)
