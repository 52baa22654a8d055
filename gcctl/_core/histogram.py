"""The buckets of the pause histogram (as in csrc/core/histogram.h), and percentiles from it.

Each value below 16 ns has a bucket of its own. Every power of two above is cut into 16 equal
buckets, so a bucket is at most 1/16 of its lower bound wide. Values of 2**37 ns (137 s) and more
share the last bucket.
"""

from __future__ import annotations

from collections.abc import Iterable

SUBBITS = 4
MAXBITS = 37
BUCKETS = (MAXBITS - SUBBITS + 1) << SUBBITS


def bucket_of(ns: int) -> int:
    """The bucket of a value in nanoseconds; a negative one counts as 0."""
    if ns < 1 << SUBBITS:
        return max(ns, 0)
    if ns >> MAXBITS:
        return BUCKETS - 1
    shift = ns.bit_length() - 1 - SUBBITS
    return (shift << SUBBITS) + (ns >> shift)


def bounds(bucket: int) -> tuple[int, int]:
    """The least and the greatest value in nanoseconds that a bucket counts.

    The last bucket also counts all greater values; its upper bound here leaves them out.
    """
    shift = max((bucket >> SUBBITS) - 1, 0)
    low = (bucket - (shift << SUBBITS)) << shift
    return low, low + (1 << shift) - 1


def percentile(counts: Iterable[tuple[int, int]], q: float, *, longest: int) -> int:
    """The value at or below which `q` % of the counted values lie (nearest rank), in nanoseconds.

    `counts` are (bucket, count) in ascending order of buckets; `longest` is the longest of the
    values, which is known exactly. Returns 0 if there are no values. The answer is at most 1/32 off
    between 1 µs and 137 s. Raises ValueError if `q` is not from 0 to 100.
    """
    if not 0 <= q <= 100:  # NaN too
        raise ValueError(f"a percentile is a number from 0 to 100, not {q!r}")
    pairs = list(counts)
    total = sum(count for _, count in pairs)
    if not total:
        return 0
    rank = max(-int(-q * total // 100), 1)
    if rank == total:
        return longest
    for bucket, count in pairs:
        rank -= count
        if rank <= 0:
            low, high = bounds(bucket)
            return min((low + high) // 2, longest)
    raise AssertionError("unreachable: the ranks add up to the total")
