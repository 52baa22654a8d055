"""Types for argparse: how the values of the demo's options are read."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from gcctl._config.presets import PRESETS


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise _rejected(text, f"a whole number from {low} to {high}")
        return value

    return parse


def wholes(low: int, high: int) -> Callable[[str], list[int]]:
    one = whole(low, high)
    return lambda text: [one(part) for part in text.split(",")]


def rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value <= 10_000:
        raise _rejected(text, "a number of requests per second from 1 to 10000")
    return value


def policies(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PRESETS:
            raise _rejected(name, f"names out of {', '.join(PRESETS)}, separated by commas")
    return list(dict.fromkeys(names))


def _rejected(text: str, accepted: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text!r} is not accepted; expected {accepted}")
