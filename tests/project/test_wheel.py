"""The source distribution has every file, and the wheel that is built from it works where there is
no source tree: each module can be imported, unless its framework is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path

import pytest
from paths import ROOT

pytest.importorskip("setuptools", reason="setuptools is not installed")
pytest.importorskip("Cython", reason="Cython is not installed")

try:
    metadata.version("pip")
except metadata.PackageNotFoundError:
    pytest.skip("pip is not installed", allow_module_level=True)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ROOT / "setup.py").exists(), reason="not in a source tree: nothing to build"
    ),
]

WRITTEN = (".py", ".pyi", ".pyx", ".pxd", ".c", ".h", ".typed")
"""Endings of the files that people write."""

ACT_ON_IMPORT = ("gcctl.__main__", "gcctl.cli._boot.sitecustomize")

IMPORT_EVERYTHING = f"""
import importlib, importlib.util, json, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import gcctl
imported, failed = {{"gcctl": gcctl.__file__}}, {{}}
for module in pkgutil.walk_packages(gcctl.__path__, "gcctl.", lambda name: None):
    try:
        if module.name in {ACT_ON_IMPORT}:
            imported[module.name] = importlib.util.find_spec(module.name).origin
        else:
            imported[module.name] = importlib.import_module(module.name).__file__
    except ImportError as error:
        other = isinstance(error, ModuleNotFoundError) and not error.name.startswith("gcctl")
        if not other and "pip install 'gcctl[" not in str(error):
            raise
        failed[module.name] = str(error)
print(json.dumps([imported, failed]))
"""


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def written(root: Path, *folders: str) -> set[str]:
    """The files below these folders, but for what Cython makes."""
    return {
        str(path.relative_to(root))
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.suffix in WRITTEN
        and not (path.suffix == ".c" and path.with_suffix(".pyx").exists())
    }


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution, made of a copy: setuptools writes into the tree."""
    directory = tmp_path_factory.mktemp("sdist")
    tree = directory / "tree"
    ignore = shutil.ignore_patterns(".*", "*.so", "__pycache__", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, tree, ignore=ignore)
    run(sys.executable, "setup.py", "-q", "sdist", "-d", str(directory), cwd=tree)
    (archive,) = directory.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def installed(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel made from it is installed."""
    target = tmp_path_factory.mktemp("installed")
    options = ("-q", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--target")
    pip = (sys.executable, "-Im", "pip", "--disable-pip-version-check", "install")
    run(*pip, *options, str(target), str(sdist), cwd=target)
    return target


def test_the_source_distribution_has_every_file(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert written(ROOT, "gcctl", "csrc", "tests", "bench", "docs") - names == set()


def test_every_module_is_installed_and_can_be_imported(installed: Path) -> None:
    program = (sys.executable, "-Ic", IMPORT_EVERYTHING, str(installed))
    imported, failed = json.loads(run(*program, cwd=installed))
    expected = {
        name.removesuffix(".pyx").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in written(ROOT, "gcctl")
        if name.endswith((".py", ".pyx"))
    }
    # Below a package that needs a framework, modules are not found where it is missing.
    below = {name for name in expected for package in failed if name.startswith(f"{package}.")}
    assert expected - below == (imported.keys() | failed.keys()) - below
    assert len(imported) > len(expected) / 2
    elsewhere = {name for name, file in imported.items() if not file.startswith(str(installed))}
    assert elsewhere == set()
    assert (installed / "gcctl" / "py.typed").exists()
