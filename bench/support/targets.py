"""A target: a figure that is to be reached, and whether it was."""

from __future__ import annotations

from typing import NamedTuple

from bench.support.figures import Row

MIB = 2**20
NS_PER_MS = 1e6


class Target(NamedTuple):
    """Something to reach, and whether it was."""

    name: str
    value: float
    limit: float
    unit: str
    at_most: bool = True
    quick: bool = False
    """Whether a `--quick` run is enough to tell."""

    @property
    def reached(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def as_row(self) -> Row:
        return {**self._asdict(), "reached": self.reached}

    @classmethod
    def of_row(cls, row: Row) -> Target:
        return cls(**{name: row[name] for name in cls._fields})
