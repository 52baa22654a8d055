"""The benchmarks of gcctl. `python -m bench` lists them.

They measure the gcctl that is installed. `python -m` puts the root of the checkout on sys.path, and
the sources there have no compiled modules. So importing this package takes the root off sys.path.
Its own modules are still found, by the path of the package.
"""

import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(HERE)


def without_root(folders: list[str]) -> list[str]:
    """The folders, but for the root of the checkout. An empty name is the current folder."""
    return [folder for folder in folders if os.path.realpath(folder) != ROOT]


sys.path[:] = without_root(sys.path)
