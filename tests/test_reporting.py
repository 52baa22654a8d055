from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcctl import reporting

UNITS = {"ns": 1, "µs": 10**3, "ms": 10**6, "s": 10**9}


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1 µs"),
        (1234, "1.23 µs"),
        (999_600, "1,000 µs"),
        (12_300_000, "12.3 ms"),
        (4_000_000_000_000, "4,000 s"),
    ],
)
def test_durations_read_as_people_write_them(ns: int, text: str) -> None:
    assert reporting.duration(ns) == text


@given(ns=st.integers(0, 10**15))
def test_durations_keep_two_significant_digits_and_a_half(ns: int) -> None:
    number, unit = reporting.duration(ns).split()
    assert "e" not in number
    assert abs(float(number.replace(",", "")) * UNITS[unit] - ns) <= ns * 0.005


def test_sizes_are_in_mebibytes() -> None:
    assert reporting.size(1536 * 2**20) == "1,536.0 MiB"
