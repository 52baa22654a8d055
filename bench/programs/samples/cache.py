"""A large cache of parsed records, the least recently used of which make room for new ones.

Its entries are linked in the order of their use, which after a while has nothing to do with where
they lie in memory; and a miss leaves some cyclic garbage behind, the parser's.
"""

from __future__ import annotations

import argparse
import random
import zlib
from typing import Any

CAPACITY = 150_000
LOOKUPS = 400_000
KEYS = 1.6
"""Keys asked for, times the capacity."""

Record = dict[str, Any]


class Entry:
    __slots__ = ("key", "newer", "older", "record")

    def __init__(self, key: int, record: Record) -> None:
        self.key, self.record = key, record
        self.newer: Entry = self
        self.older: Entry = self


class Cache:
    """A dict, and a ring of the entries that begins and ends at `ring`."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.entries: dict[int, Entry] = {}
        self.ring = Entry(-1, {})
        self.misses = 0

    def get(self, key: int) -> Record:
        entry = self.entries.get(key)
        if entry is None:
            self.misses += 1
            entry = self.entries[key] = Entry(key, Parser(source_of(key)).record())
            if len(self.entries) > self.capacity:
                oldest = self.ring.newer
                self.unlink(oldest)
                del self.entries[oldest.key]
        else:
            self.unlink(entry)
        entry.newer, entry.older = self.ring, self.ring.older
        self.ring.older.newer = entry
        self.ring.older = entry
        return entry.record

    @staticmethod
    def unlink(entry: Entry) -> None:
        entry.newer.older = entry.older
        entry.older.newer = entry.newer


class Parser:
    """Its field functions are bound methods that it keeps: a cycle."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.readers = {"name": self.text, "tags": self.words, "sizes": self.numbers}

    def record(self) -> Record:
        fields = (part.split("=") for part in self.source.split(";"))
        return {name: self.readers[name](value) for name, value in fields}

    def text(self, value: str) -> Any:
        return value.title()

    def words(self, value: str) -> Any:
        return value.split(",")

    def numbers(self, value: str) -> Any:
        sizes = (part.split(":") for part in value.split())
        return {name: int(size) for name, size in sizes}


def source_of(key: int) -> str:
    return f"name=record {key};tags=t{key % 7},t{key % 31},new;sizes=x:{key % 90} y:{key % 17} z:1"


def main(scale: float) -> str:
    chance = random.Random(11).random
    capacity = max(10, round(CAPACITY * scale))
    cache, keys, total = Cache(capacity), round(capacity * KEYS), 0
    for number in range(max(10, round(LOOKUPS * scale))):
        record = cache.get(int(keys * chance()))
        total += record["sizes"]["x"] + len(record["tags"][number % 3])
    crc = zlib.crc32(repr(list(cache.entries)[::100]).encode())
    return f"{len(cache.entries)} records, {cache.misses} misses, {total}, {crc:08x}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    print(main(parser.parse_args().scale))
