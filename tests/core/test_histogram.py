from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcctl._core import histogram

US, S = 1000, 10**9
in_range = st.integers(US, 100 * S)


@given(value=st.integers(0, 2**histogram.MAXBITS - 1))
def test_each_value_lies_within_its_bucket(value: int) -> None:
    low, high = histogram.bounds(histogram.bucket_of(value))
    assert low <= value <= high


def test_buckets_follow_each_other_without_gap_or_overlap() -> None:
    ranges = [histogram.bounds(bucket) for bucket in range(histogram.BUCKETS)]
    assert ranges[0][0] == 0
    assert all(high + 1 == low for (_, high), (low, _) in pairwise(ranges))
    assert ranges[-1][1] == 2**histogram.MAXBITS - 1


@pytest.mark.parametrize(("value", "bucket"), [(-5, 0), (2**40, histogram.BUCKETS - 1)])
def test_values_out_of_range_go_to_the_nearest_bucket(value: int, bucket: int) -> None:
    assert histogram.bucket_of(value) == bucket


@given(values=st.lists(in_range, min_size=1, max_size=200), q=st.floats(0, 100))
def test_percentile_is_the_nearest_rank_within_a_sixteenth(values: list[int], q: float) -> None:
    counts: dict[int, int] = {}
    for value in values:
        bucket = histogram.bucket_of(value)
        counts[bucket] = counts.get(bucket, 0) + 1
    exact = sorted(values)[max(math.ceil(q * len(values) / 100), 1) - 1]
    found = histogram.percentile(sorted(counts.items()), q, longest=max(values))
    assert abs(found - exact) <= exact / 16
    assert found <= max(values)


def test_percentile_of_nothing_is_zero() -> None:
    assert histogram.percentile([], 99, longest=0) == 0


@pytest.mark.parametrize("q", [-1, 100.1, math.nan, math.inf])
def test_percentile_names_a_q_out_of_range(q: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 100"):
        histogram.percentile([(1, 1)], q, longest=1)
