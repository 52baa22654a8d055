"""What a service keeps in memory, and what each request does to it."""

from __future__ import annotations

import random
from typing import Any

from bench.service.scenarios import Case
from bench.support.heaps import AGED, Record, live

LOOKUPS = 20
"""Entries that a request reads, and writes to."""


class Catalogue:
    """The entries of an aged heap: linked in pairs, scattered over the memory."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._records = live(AGED, case.objects)
        self._kept: list[Record] = []
        self._number = 0
        self._random = random.Random(4)

    def visit(self) -> int:
        """What a request does: it reads, replaces, keeps and leaves behind what the case says."""
        case = self._case
        seen = 0
        if self._records:
            seen = self._read()
            self._replace(case.replaced)
        self._kept.extend({"a": [number]} for number in range(case.kept))
        if case.leaked_bytes:
            cycle: list[Any] = [bytearray(case.leaked_bytes)]
            cycle.append(cycle)
        return seen

    def _read(self) -> int:
        seen = 0
        for record in self._random.choices(self._records, k=LOOKUPS):
            record["a"][0] += 1
            seen += record["a"][0]
        return seen

    def _replace(self, entries: int) -> None:
        """Puts new pairs in the place of old ones. Every second old pair is taken apart first and
        so is freed at once. The others are cycles, and wait for a collection."""
        records = self._records
        for number in range(entries // 2):
            index = 2 * int(self._random.random() * (len(records) // 2))
            if number % 2:
                del records[index]["next"]
            self._number += 1
            one: Record = {"a": [self._number]}
            other: Record = {"a": [self._number]}
            one["next"], other["previous"] = other, one
            records[index], records[index + 1] = one, other
