"""The build switch and what happens without a compiler, on a copy of the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from paths import ROOT

pytest.importorskip("setuptools", reason="setuptools is not installed")
pytest.importorskip("Cython", reason="Cython is not installed")

pytestmark = [
    pytest.mark.skipif(
        not (ROOT / "setup.py").exists(), reason="not in a source tree: nothing to build"
    ),
    pytest.mark.skipif(
        os.environ.get("GCCTL_IMPL") == "python",
        reason="builds both ways whichever twin is asked for: once is enough",
    ),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("source") / "gcctl"
    tree.mkdir()
    for name in ("gcctl", "csrc"):
        ignore = shutil.ignore_patterns("*.so", "__pycache__", "_*.c")
        shutil.copytree(ROOT / name, tree / name, ignore=ignore)
    for name in (
        "_gcctl_cli.py",
        "_gcctl_pytest.py",
        "setup.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    ):
        shutil.copy(ROOT / name, tree)
    return tree


def setup(tree: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "setup.py", *arguments],
        cwd=tree,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def pure(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with gcctl installed without its extension."""
    target = tmp_path_factory.mktemp("pure")
    done = setup(tree, "build", "--build-lib", str(target), GCCTL_BUILD_EXT="no")
    assert done.returncode == 0, done.stderr
    return target


def implementation(folder: Path, impl: str = "") -> str:
    program = "from gcctl._process import twins; print(twins.core.implementation, twins.reason)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=os.environ | {"GCCTL_IMPL": impl},
        capture_output=True,
        text=True,
    )
    return done.stdout or done.stderr.splitlines()[-1]


def test_without_the_extension_the_python_twin_works_and_says_why(pure: Path) -> None:
    assert not list(pure.rglob("*.so"))
    assert implementation(pure) == "python c-not-built\n"


def test_no_source_of_an_extension_is_installed(pure: Path) -> None:
    suffixes = {path.suffix for path in (pure / "gcctl").rglob("*") if path.is_file()}
    assert not suffixes & {".pyx", ".pxi", ".pxd", ".c", ".h"}


def test_asking_for_c_where_it_was_not_built_is_an_error_that_says_so(pure: Path) -> None:
    error = implementation(pure, "c")
    assert "the compiled core cannot be imported: it was not built" in error
    assert "GCCTL_IMPL=python" in error


@pytest.mark.parametrize("impl", ["", "c"])
def test_a_broken_extension_is_not_taken_for_a_missing_one(
    pure: Path, tmp_path: Path, impl: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(pure, broken)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    (broken / "gcctl" / "_core" / f"compiled{suffix}").write_bytes(b"no library")
    assert "the compiled core cannot be imported:" in implementation(broken, impl)
    assert implementation(broken, "python") == "python python-asked-for\n"


def test_a_leftover_of_an_older_layout_is_an_error_that_names_it(
    pure: Path, tmp_path: Path
) -> None:
    updated = tmp_path / "updated"
    shutil.copytree(pure, updated)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    (updated / "gcctl" / f"_core{suffix}").write_bytes(b"no library")
    for impl in ("", "c", "python"):
        error = implementation(updated, impl)
        assert f"has files of an older gcctl: _core{suffix}; remove them" in error


@pytest.mark.skipif(sys.platform == "win32", reason="CC means nothing to MSVC")
def test_without_a_compiler_the_error_says_what_to_install(tree: Path, tmp_path: Path) -> None:
    done = setup(tree, "build_ext", "--build-temp", str(tmp_path), "--build-lib", str(tmp_path),
                 CC="no-such-compiler")  # fmt: skip
    assert done.returncode != 0
    assert "apt-get install gcc python3-dev" in done.stderr
    assert "GCCTL_BUILD_EXT=no" in done.stderr


def test_the_switch_takes_yes_or_no_only(tree: Path) -> None:
    done = setup(tree, "--version", GCCTL_BUILD_EXT="maybe")
    assert "GCCTL_BUILD_EXT='maybe': expected one of yes, no" in done.stderr
