"""The extensions and their build switch; all metadata is in pyproject.toml.

GCCTL_BUILD_EXT=yes (the default) compiles them and fails where that fails;
GCCTL_BUILD_EXT=no installs the pure-Python twin alone.
"""

import os
import platform
import sys
from collections.abc import Sequence
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

CHOICES = ("yes", "no")

HOW_TO_BUILD = """
gcctl's core could not be compiled: {error}

It needs a C compiler and Python's headers:
    Debian, Ubuntu    apt-get install gcc python3-dev
    Fedora, RHEL      dnf install gcc python3-devel
    Alpine            apk add gcc musl-dev python3-dev
    macOS             xcode-select --install
    Windows           Visual Studio Build Tools, "Desktop development with C++"
Or install the slower pure-Python twin, which does the same, with GCCTL_BUILD_EXT=no.
"""


class BuildExt(build_ext):
    """Says what to install where the compiler is missing, instead of a page of its output alone."""

    def build_extensions(self) -> None:
        if self.compiler.compiler_type != "msvc":
            for extension in self.extensions:
                extension.extra_compile_args = ["-std=c11", *extension.extra_compile_args]
        try:
            super().build_extensions()
        except (BaseError, CCompilerError, OSError) as error:
            sys.exit(HOW_TO_BUILD.format(error=error))


def extensions() -> list[Extension]:
    wanted = os.environ.get("GCCTL_BUILD_EXT", "yes")
    if wanted not in CHOICES:
        sys.exit(f"GCCTL_BUILD_EXT={wanted!r}: expected one of {', '.join(CHOICES)}")
    if wanted == "no":
        return []
    found = [
        extension("core", shared=["collector"]),
        extension("memory", libraries=["psapi"] if os.name == "nt" else []),
    ]
    machine = platform.machine() in ("x86_64", "aarch64") and sys.maxsize > 2**32
    if sys.platform == "linux" and machine:
        found.append(extension("interpreter", shared=["collector"]))
        found.append(extension("concurrent", shared=["collector"]))
    return found


def extension(folder: str, libraries: Sequence[str] = (), shared: Sequence[str] = ()) -> Extension:
    """gcctl/_FOLDER/compiled.pyx with all C files below csrc/FOLDER/ and csrc/SHARED/."""
    folders = (folder, *shared)
    return Extension(
        f"gcctl._{folder}.compiled",
        sources=[
            f"gcctl/_{folder}/compiled.pyx",
            *(
                file
                for name in folders
                for file in sorted(glob(f"csrc/{name}/**/*.c", recursive=True))
            ),
        ],
        depends=[*glob("csrc/**/*.h", recursive=True), *glob("gcctl/_*/*.px[di]")],
        include_dirs=["csrc"],
        libraries=list(libraries),
    )


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt})
