"""Pictures brought through layers of filters: few objects, but large ones, and in cycles.

A picture and its layers refer to each other, so all the pixels stay until the collector comes:
whoever lets it come less often pays in memory.
"""

from __future__ import annotations

import argparse
import random
import zlib
from collections.abc import Callable

PICTURES = 1_500
SIDE = 256

Pixels = bytes
Filter = Callable[[Pixels], Pixels]


class Layer:
    def __init__(self, picture: Picture, name: str, pixels: Pixels) -> None:
        self.picture, self.name, self.pixels = picture, name, pixels
        self.histogram = [pixels.count(level) for level in range(0, 256, 16)]


class Picture:
    def __init__(self, number: int, pixels: Pixels) -> None:
        self.number = number
        self.layers = [Layer(self, "original", pixels)]

    def apply(self, name: str, filter: Filter) -> None:
        self.layers.append(Layer(self, name, filter(self.layers[-1].pixels)))


def table(change: Callable[[int], int]) -> Filter:
    """A filter that looks at one pixel at a time."""
    levels = bytes(max(0, min(255, change(level))) for level in range(256))
    return lambda pixels: pixels.translate(levels)


def mirrored(pixels: Pixels) -> Pixels:
    rows = [pixels[start : start + SIDE] for start in range(0, len(pixels), SIDE)]
    return b"".join(row[::-1] for row in rows)


def smaller(pixels: Pixels) -> Pixels:
    """Half as wide and high."""
    return b"".join(pixels[start : start + SIDE : 2] for start in range(0, len(pixels), SIDE * 2))


FILTERS: dict[str, Filter] = {
    "brighter": table(lambda level: level + 20),
    "contrast": table(lambda level: (level - 128) * 3 // 2 + 128),
    "mirrored": mirrored,
    "negative": table(lambda level: 255 - level),
    "smaller": smaller,
}


def main(scale: float) -> str:
    original = random.Random(3).randbytes(SIDE * SIDE)
    crc, levels = 0, 0
    for number in range(max(1, round(PICTURES * scale))):
        start = number * 257 % len(original)
        picture = Picture(number, original[start:] + original[:start])
        for name, filter in FILTERS.items():
            picture.apply(name, filter)
        thumbnail = picture.layers[-1]
        crc = zlib.crc32(thumbnail.pixels, crc)
        levels += thumbnail.histogram[number % 16]
    return f"{number + 1} pictures, {levels}, {crc:08x}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    print(main(parser.parse_args().scale))
