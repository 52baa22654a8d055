"""Configuration: what every field accepts, where values may come from, and which source wins."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import json
import logging
import pickle
import time
from collections.abc import Callable, Mapping
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcctl._base.errors import ConfigError, GcctlError
from gcctl._config.config import RESERVED_VARIABLES, Config, disabled
from gcctl._config.presets import PRESETS, Values

FIELDS = [field.name for field in dataclasses.fields(Values)]
SOURCE_DICT: dict[str, Any] = {
    "enable_manual_gc": True,
    "gc_frequency": {
        "gen0_every_requests": 1,
        "gen1_every_requests": 10,
        "gen2_every_requests": 100,
    },
    "memory_threshold_mb": 1024,
    "max_gc_pause_ms": 10,
    "enable_monitoring": True,
}

COUNTS = (
    *("gen0_every", "gen1_every", "gen2_every", "max_collections_per_minute", "report_every"),
    "recycle_after_requests",
)

counts = st.none() | st.just("never") | st.integers(1, 10**9) | st.integers(1, 10**9).map(str)
nanoseconds = st.integers(1, 3600 * 10**9)
durations = (
    nanoseconds.map("{}ns".format)
    | st.floats(1e-9, 3600)
    | st.integers(1, 3600)
    | st.decimals(1, 60, places=3).map("{}m".format)
)
intervals = (
    st.integers(10**6, 3600 * 10**9).map("{}ns".format)
    | st.floats(0.001, 3600)
    | st.integers(1, 3600)
    | st.decimals(1, 60, places=3).map("{}m".format)
)
sizes = st.integers(1, 2**63 - 1) | st.decimals("0.01", 1000, places=2).map("{}GiB".format)
percentages = st.decimals("0.0001", 100, places=4).map("{}%".format)
budgets = st.floats(0, 1, exclude_min=True) | st.sampled_from(["1%", "0.5 %", "100%", 1])
flags = st.booleans() | st.sampled_from(["on", "OFF", "1", "0", "yes", "No", "true", "False"])
heights = st.integers(0, 2**31 - 1)
SPELLINGS: dict[str, st.SearchStrategy[Any]] = {
    "policy": st.sampled_from(sorted(PRESETS)),
    **dict.fromkeys(COUNTS, counts),
    "full_collection": st.sampled_from(["stop", "concurrent", "Stop", "CONCURRENT"]),
    "explicit_collect": st.sampled_from(
        ["run", "Concurrent", "at most every 60s", "At Most Every  0.5 h", "at most every 10ms"]
    ),
    "stagger": st.sampled_from([None, "none", "auto", "AUTO", "/run/gcctl.lock", Path("/tmp/x")]),
    "automatic_gc": st.none() | st.just("leave") | flags,
    "thresholds": st.none()
    | st.just("leave")
    | st.tuples(st.integers(1, 2**31 - 1), heights, heights)
    | st.tuples(st.integers(1, 2**31 - 1), heights, heights).map("{0[0]}, {0[1]},{0[2]}".format),
    "max_pause": durations,
    "memory_limit": st.none() | st.just("none") | sizes | percentages,
    "check_interval": intervals,
    "pressure_budget": budgets,
    "gc_budget": budgets,
    "emergency_interval": st.none() | st.just("never") | durations,
    "recycle_above": st.none() | st.just("none") | sizes,
    "recycle_jitter": budgets | st.sampled_from([0, 0.0, "0%", "0"]),
    "final_collection": flags,
    "at_exit": st.sampled_from(["complete", "fast", "Complete", "FAST"]),
    "monitoring": flags,
}
givens = st.fixed_dictionaries({}, optional=SPELLINGS)
configs = givens.map(lambda values: Config(**values))


def as_text(name: str, value: Any) -> str:
    """The value as an environment variable spells it."""
    if value is None:
        words = dict.fromkeys(("automatic_gc", "thresholds"), "leave")
        words |= dict.fromkeys(("memory_limit", "recycle_above", "stagger"), "none")
        return words.get(name, "never")
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def as_env(values: Mapping[str, Any]) -> dict[str, str]:
    return {f"GCCTL_{name.upper()}": as_text(name, value) for name, value in values.items()}


def as_toml(values: Mapping[str, Any], table: str = "gcctl") -> str:
    rows = (f"{name} = {json.dumps(as_text(name, value))}\n" for name, value in values.items())
    return f"[{table}]\n" + "".join(rows)


def values_of(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in FIELDS}


def rejected(**values: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Config(**values)
    return str(caught.value)


def test_every_field_has_a_strategy_here() -> None:
    assert SPELLINGS.keys() == set(FIELDS)


# --- a Config as a value -------------------------------------------------------------------------


@given(configs)
def test_normalised_values_give_an_equal_config_again(config: Config) -> None:
    again = Config(**values_of(config))
    assert again == config
    assert hash(again) == hash(config)
    assert again.given == set(FIELDS)


@given(configs)
def test_config_survives_the_environment_pickle_copy_and_repr(config: Config) -> None:
    assert Config.from_env(as_env(values_of(config))) == config
    for twin in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config)):
        assert twin == config
        assert twin.given == config.given
    assert eval(repr(config), {"Config": Config}) == config


@given(givens, givens)
def test_replace_keeps_what_was_given_and_refills_the_rest(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    changed = Config(**first).replace(**second)
    assert changed == Config(**(first | second))
    assert changed.given == first.keys() | second.keys()


def test_config_is_immutable_and_takes_no_positional_values() -> None:
    config = Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.policy = "off"  # type: ignore[misc]
    assert not hasattr(config, "__dict__")
    with pytest.raises(TypeError):
        Config("off")  # type: ignore[call-arg]
    assert dataclasses.replace(config, max_pause=1.0).max_pause == 1.0


def test_config_error_is_a_gcctl_error_and_a_value_error() -> None:
    assert issubclass(ConfigError, GcctlError)
    assert issubclass(ConfigError, ValueError)


# --- units ---------------------------------------------------------------------------------------

NS = {"ns": 1, "us": 10**3, "\u00b5s": 10**3, "\u03bcs": 10**3, "ms": 10**6, "s": 10**9}
NS |= {"": 10**9, "m": 60 * 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
BYTES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
BYTES |= {"K": 2**10, "KiB": 2**10, "M": 2**20, "MiB": 2**20, "G": 2**30, "GiB": 2**30}
BYTES |= {"T": 2**40, "TiB": 2**40, "gib": 2**30, "mb": 10**6, "k": 2**10}


@given(st.sampled_from(sorted(NS)), st.data())
def test_durations_are_exact_in_every_unit(unit: str, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, 3600 * 10**9 // NS[unit]))
    assert Config(max_pause=f"{number}{unit}").max_pause_ns == number * NS[unit]
    assert Config(emergency_interval=f"{number} {unit}").emergency_interval_ns == number * NS[unit]
    number = data.draw(st.integers(-(-(10**6) // NS[unit]), 3600 * 10**9 // NS[unit]))
    assert Config(check_interval=f"{number}{unit}").check_interval_ns == number * NS[unit]


@given(nanoseconds)
def test_decimal_seconds_are_exact_to_the_nanosecond(number: int) -> None:
    text = f"{number // 10**9}.{number % 10**9:09d}s"
    assert Config(max_pause=text).max_pause_ns == number
    assert Config(max_pause=float(text[:-1])).max_pause_ns == number
    assert Config(emergency_interval=float(text[:-1])).emergency_interval_ns == number
    if number >= 10**6:
        assert Config(check_interval=text).check_interval_ns == number
        assert Config(check_interval=float(text[:-1])).check_interval_ns == number


@given(st.sampled_from(sorted(BYTES)), st.integers(1, 2**20), st.sampled_from(["", ".0", ".5"]))
def test_sizes_are_exact_and_round_down_to_whole_bytes(unit: str, whole: int, rest: str) -> None:
    expected = whole * BYTES[unit] + (BYTES[unit] // 2 if rest == ".5" else 0)
    assert Config(memory_limit=f"{whole}{rest}{unit}").memory_limit == expected
    assert Config(recycle_above=f"{whole}{rest}{unit}").recycle_above == expected


@pytest.mark.parametrize(
    ("field", "spelt", "normalised"),
    [
        ("max_pause", "10ms", 0.01),
        ("max_pause", "1.5s", 1.5),
        ("max_pause", " 5us\n", 5e-6),
        ("max_pause", "1e-3", 0.001),
        ("max_pause", "60m", 3600.0),
        ("memory_limit", "1.5GiB", 3 * 2**29),
        ("memory_limit", "512MB", 512_000_000),
        ("memory_limit", "1.1 KiB", 1126),
        ("memory_limit", "80%", "80%"),
        ("memory_limit", "080.50 %", "80.5%"),
        ("check_interval", "1ms", 0.001),
        ("check_interval", 1, 1.0),
        ("check_interval", "1h", 3600.0),
        ("pressure_budget", "10%", 0.1),
        ("pressure_budget", 1, 1.0),
        ("max_collections_per_minute", "600", 600),
        ("max_collections_per_minute", "Never", None),
        ("recycle_after_requests", 10**9, 10**9),
        ("recycle_above", "1.5GiB", 3 * 2**29),
        ("recycle_above", "None", None),
        ("recycle_jitter", 0, 0.0),
        ("recycle_jitter", "0%", 0.0),
        ("recycle_jitter", "10 %", 0.1),
        ("recycle_jitter", 1, 1.0),
        ("gc_budget", "1%", 0.01),
        ("gc_budget", "0.1%", 0.001),
        ("gc_budget", 1, 1.0),
        ("thresholds", [100, 5, 0], (100, 5, 0)),
        ("automatic_gc", "Leave", None),
        ("gen0_every", "1000000000", 10**9),
    ],
)
def test_spellings_are_normalised(field: str, spelt: object, normalised: object) -> None:
    value = getattr(Config(**{field: spelt}), field)
    assert value == normalised
    assert type(value) is type(normalised)


# --- values that are not accepted ----------------------------------------------------------------

NOT_NUMBERS = ["nan", "inf", "-inf", "", " ", "10XB", "10ms junk", "ten", "\u0661\u0660", "1_000"]
NOT_NUMBERS += ["0x10", "1e400", "-5", "+5", "1,5", "1..5", "ms", "10\x00", "1\u212a", "9" * 99]
BAD_COUNTS = [*NOT_NUMBERS, 0, -1, True, 1.0, float("nan"), 10**9 + 1, "0", "1.0", b"1"]
BAD_SIZES = [*NOT_NUMBERS, 0, -1, True, 1.0, 0.8, 2**63, b"1G", "0", "0.5B", "150%", "0%", "-1%"]
BAD_SIZES += ["1e-999%", "8388608TiB", "1EiB", "1GiBB", "1 0 GiB", "80%%"]
BAD_SHARES = [*NOT_NUMBERS, -0.1, 1.01, 2, True, None, "150%", "-0", "1s", "never", b"1%"]
BAD_BUDGETS = [*BAD_SHARES, 0, "0%", "1e-999"]
BAD: dict[str, list[Any]] = {
    "policy": ["Production ready", "", None, 1, b"off", ["off"]],
    **dict.fromkeys(COUNTS, BAD_COUNTS),
    "automatic_gc": ["maybe", 1, 0, 1.0, b"on"],
    "thresholds": [
        *NOT_NUMBERS,
        *([0, 5, 5], (1, 2), (1, 2, 3, 4), (1, -1, 1), (1, 2**31, 1), (True, 1, 1), (1, 1.0, 1)),
        *("0,5,5", "1,2", "1,2,,", {1: 1, 2: 2, 3: 3}, 100, [[1], 2, 3]),
    ],
    "max_pause": [
        *NOT_NUMBERS,
        *(0, -1, True, None, float("nan"), float("inf"), 3601, 10**400, b"1s"),
        *("0s", "0.4ns", "-5ms", "61m", "5MS", "1 d", "10%", datetime.timedelta(seconds=1)),
    ],
    "memory_limit": BAD_SIZES,
    "check_interval": [
        *NOT_NUMBERS,
        *(0, -1, True, None, float("nan"), float("inf"), 0.0009, 3601, 10**400, b"1s"),
        *("0s", "1ns", "999999ns", "0.9ms", "61m", "never", "1MS", "10%"),
    ],
    "pressure_budget": BAD_BUDGETS,
    "gc_budget": BAD_BUDGETS,
    "emergency_interval": [*NOT_NUMBERS, 0, -1, True, "25h", b"1s"],
    "recycle_above": [*BAD_SIZES, "80%", "100 %", 0.5, "never"],
    "recycle_jitter": [*BAD_SHARES, False, float("nan"), float("inf"), "100.1%", "10B"],
    "final_collection": [None, 1, "maybe", "leave", ""],
    "at_exit": [None, 1, True, "", "quick", "none", b"fast"],
    "full_collection": [None, 1, True, "", "concurent", "none", b"stop"],
    "explicit_collect": [None, 1, True, "", "never", "at most every", "at most every 2h", b"run"],
    "stagger": [True, 1, "", "lock", "./lock", Path("lock"), b"/run/lock", "/run/\0"],
    "monitoring": [None, 0, "2", "", []],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in BAD.items() for value in values]
)
def test_bad_value_is_refused_naming_field_value_and_what_is_accepted(
    field: str, value: object
) -> None:
    message = rejected(**{field: value})
    assert message.startswith(f"{field}: ")
    assert "; expected " in message
    if len(repr(value)) < 80:
        assert repr(value) in message
    assert len(message) < 500


def test_every_field_refuses_something() -> None:
    assert BAD.keys() == set(FIELDS)


@pytest.mark.parametrize("field", [*FIELDS, *SOURCE_DICT])
@pytest.mark.parametrize("number", [10**400, -(10**5000)], ids=["400 digits", "5000 digits"])
def test_integers_too_long_to_print_are_refused(field: str, number: int) -> None:
    assert "; expected " in rejected(**{field: number})


@pytest.mark.parametrize("field", FIELDS)
def test_very_long_text_is_refused_at_once(field: str) -> None:
    start = time.perf_counter()
    for text in ("9" * 10**6, "1." + "0" * 10**6 + "s", " " * 10**6, "1e" + "9" * 10**6):
        rejected(**{field: text})
    assert time.perf_counter() - start < 5


class Liar:
    """Claims to be a string; every comparison and its repr fail."""

    __hash__ = None  # type: ignore[assignment]
    __class__ = str  # type: ignore[assignment]

    def fail(self, *_: object) -> NoReturn:
        raise RuntimeError("hostile")

    __repr__ = __eq__ = __bool__ = __len__ = __iter__ = __str__ = __index__ = __float__ = fail


class HostileText(str):
    __repr__ = __eq__ = lower = strip = endswith = split = __len__ = Liar.fail  # type: ignore[assignment]
    __hash__ = str.__hash__


class HostileInt(int):
    __repr__ = __eq__ = __lt__ = __le__ = __int__ = __index__ = __str__ = Liar.fail
    __hash__ = int.__hash__


plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.from_regex(r"[0-9.eE+\-]{0,12} ?[a-zA-Z\u00b5%]{0,4}", fullmatch=True)
    | st.complex_numbers()
    | st.dates()
)
# Made when drawn, because a strategy shows its elements and these cannot be shown.
hostile = st.sampled_from([Liar, lambda: HostileText("5"), lambda: HostileInt(5), object])
odd = plain | st.decimals() | st.builds(lambda make: make(), hostile)
anything = st.recursive(
    odd, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain, inner, max_size=4)
)


@given(st.sampled_from([*FIELDS, *SOURCE_DICT]), anything)
def test_any_value_is_accepted_or_a_config_error(name: str, value: object) -> None:
    try:
        config = Config(**{name: value})
    except ConfigError:
        return
    assert Config(**values_of(config)) == config


@given(st.dictionaries(plain, odd) | anything, anything)
def test_any_mapping_or_source_is_accepted_or_a_config_error(first: Any, second: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: Config.from_mapping(first),
        lambda: Config.resolve(overrides=first, environ={}),
        lambda: Config.resolve(config=second, environ={}),
        lambda: Config.resolve(policy=second, environ={}),
    ]
    for call in calls:
        with contextlib.suppress(ConfigError):
            assert isinstance(call(), Config)


def test_enum_members_count_as_the_values_they_are() -> None:
    class Policy(StrEnum):
        OFF = "off"

    class Every(IntEnum):
        TEN = 10

    config = Config(policy=Policy.OFF, gen1_every=Every.TEN, report_every=HostileInt(5))
    assert (config.policy, config.gen1_every, config.report_every) == ("off", 10, 5)
    assert type(config.policy) is str
    assert type(config.gen1_every) is int


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("max_puase", "max_pause"),
        ("MAX_PAUSE", "max_pause"),
        ("gen1_evry", "gen1_every"),
        ("memory_treshold_mb", "memory_threshold_mb"),
    ],
)
def test_misspelt_field_suggests_the_nearest(misspelt: str, nearest: str) -> None:
    message = rejected(**{misspelt: 1})
    assert repr(misspelt) in message
    assert f"did you mean {nearest!r}?" in message


def test_field_like_no_other_lists_all_that_are_known() -> None:
    message = rejected(zzz=1)
    assert all(name in message for name in FIELDS)


def test_misspelt_policy_suggests_the_nearest() -> None:
    assert "did you mean 'production'?" in rejected(policy="Prodution")


def test_the_known_policies_are_listed() -> None:
    message = rejected(policy="x")
    assert all(name in message for name in PRESETS)


def test_a_first_threshold_of_zero_points_at_automatic_gc() -> None:
    assert "automatic_gc=False" in rejected(thresholds=(0, 10, 10))


def test_a_fraction_as_memory_limit_points_at_the_percent_sign() -> None:
    assert "percent" in rejected(memory_limit=0.8)


@pytest.mark.parametrize("share", ["80%", "150 %", "%"])
def test_recycle_above_says_why_it_takes_no_share(share: str) -> None:
    message = rejected(recycle_above=share)
    assert "a share is not accepted here" in message
    assert "this process's own resident memory" in message
    assert "%" not in message.partition("expected")[2]


def test_a_fraction_as_recycle_above_does_not_point_at_the_percent_sign() -> None:
    assert "percent" not in rejected(recycle_above=0.8)


def test_a_count_of_collections_is_not_called_one_of_requests() -> None:
    assert "requests" not in rejected(max_collections_per_minute=0)


@pytest.mark.parametrize(
    ("field", "accepted"),
    [
        ("check_interval", "a duration from 1ms to 1h"),
        ("pressure_budget", "a share above 0 and up to 1"),
        ("max_collections_per_minute", "a whole number from 1 to 1000000000"),
        ("recycle_after_requests", "a whole number of requests from 1 to 1000000000"),
        ("recycle_above", "a size of at least 1 byte"),
        ("recycle_jitter", "a share from 0 up to 1"),
    ],
)
def test_error_says_what_the_field_accepts(field: str, accepted: str) -> None:
    assert f"expected {accepted}, " in rejected(**{field: -1})


# --- the source document's dict ------------------------------------------------------------------


def test_source_dict_is_accepted_as_it_stands_and_means_production() -> None:
    config = Config.from_mapping(SOURCE_DICT)
    assert config == Config(policy="production")
    assert (config.memory_limit, config.max_pause_ns) == (2**30, 10_000_000)
    assert {"policy", "automatic_gc"} <= config.given


def test_source_dict_may_be_partial_and_mixed_with_fields() -> None:
    config = Config.from_mapping(
        {"gc_frequency": {"gen2_every_requests": 200}, "max_gc_pause_ms": 2.5, "report_every": 5}
    )
    assert (config.gen1_every, config.gen2_every, config.report_every) == (10, 200, 5)
    assert config.max_pause_ns == 2_500_000
    assert config.given == {"policy", "gen2_every", "max_pause", "report_every"}


@pytest.mark.parametrize("rest", [{}, {"gc_frequency": SOURCE_DICT["gc_frequency"]}])
def test_manual_gc_off_schedules_nothing_and_leaves_automatic_gc(rest: dict[str, Any]) -> None:
    for values in ({"enable_manual_gc": False, **rest}, {**rest, "enable_manual_gc": False}):
        config = Config.from_mapping(values)
        assert (config.gen0_every, config.gen1_every, config.gen2_every) == (None, None, None)
        assert config.automatic_gc is None


@pytest.mark.parametrize(
    "values",
    [
        {"memory_threshold_mb": 1024, "memory_limit": "1GiB"},
        {"max_pause": 0.01, "max_gc_pause_ms": 10},
        {"enable_monitoring": True, "monitoring": True},
        {"enable_manual_gc": True, "automatic_gc": False},
        {"enable_manual_gc": False, "gen1_every": 5},
        {"gen0_every": 1, "gc_frequency": {"gen0_every_requests": 1}},
    ],
)
def test_two_spellings_of_one_thing_are_an_error_naming_both(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="two ways to say one thing") as caught:
        Config.from_mapping(values)
    assert all(name in str(caught.value) for name in values)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("enable_manual_gc", value) for value in (1, None, "maybe")],
        *[("gc_frequency", value) for value in (1, None, [1, 10, 100])],
        *[("gc_frequency", {"gen0_every_requests": value}) for value in (0, True, 1.5, "x")],
        ("gc_frequency", {"gen3_every_requests": 1}),
        ("gc_frequency", {1: 1}),
        *[("memory_threshold_mb", value) for value in (0, -1, True, "1024", None, float("nan"))],
        *[("max_gc_pause_ms", value) for value in (0, -1, True, "10ms", float("inf"))],
        ("enable_monitoring", 1),
    ],
)
def test_source_dict_is_checked_and_errors_use_its_names(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key):
        Config.from_mapping({key: value})


# --- TOML ----------------------------------------------------------------------------------------


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_table_gcctl_is_read_with_native_types(tmp_path: Path) -> None:
    text = """
        [other]
        ignored = true
        [gcctl]
        policy = "conservative"
        gen0_every = 2
        gen2_every = "never"
        thresholds = [700, 10, 10]
        max_pause = 0.02
        automatic_gc = "leave"
        check_interval = 1
        pressure_budget = 0.2
        max_collections_per_minute = 600
        recycle_after_requests = 50_000
        recycle_above = 1_073_741_824
        recycle_jitter = 0
        monitoring = false
    """
    assert Config.from_toml(write(tmp_path / "app.toml", text)) == Config(
        policy="conservative",
        gen0_every=2,
        gen2_every=None,
        thresholds=(700, 10, 10),
        max_pause="20ms",
        automatic_gc=None,
        check_interval="1s",
        pressure_budget="20%",
        max_collections_per_minute=600,
        recycle_after_requests=50_000,
        recycle_above="1GiB",
        recycle_jitter=0.0,
        monitoring=False,
    )


def test_pyproject_is_read_from_tool_gcctl_only(tmp_path: Path) -> None:
    path = write(tmp_path / "pyproject.toml", '[tool.gcctl]\npolicy = "off"\n[gcctl]\nx = 1\n')
    assert Config.from_toml(str(path)) == Config(policy="off")
    with pytest.raises(ConfigError, match=r"pyproject\.toml.* no table \[tool\.gcctl\]"):
        Config.from_toml(write(path, "[gcctl]\n"))


def test_toml_takes_the_source_dict_too(tmp_path: Path) -> None:
    text = "[gcctl]\nmemory_threshold_mb = 2048\ngc_frequency.gen1_every_requests = 20\n"
    config = Config.from_toml(write(tmp_path / "x.toml", text))
    assert config == Config(policy="production", memory_limit="2GiB", gen1_every=20)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"no table \[gcctl\]"),
        (b"gcctl = 5", "expected a table"),
        (b"[[gcctl]]", "expected a table"),
        (b"[gcctl\n", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"x = " + b"[" * 50_000, "not TOML"),
        (b"x = " + b"9" * 10_000, "not TOML"),
        (b"[gcctl]\nmax_puase = 1", "did you mean 'max_pause'"),
        (b"[gcctl]\nmax_pause = nan", "max_pause: nan is not accepted"),
        (b"[gcctl]\nmax_pause = 1979-05-27", "max_pause: .* is not accepted"),
        (b"[gcctl]\ngen0_every = 1.0", "gen0_every: 1.0 is not accepted"),
    ],
)
def test_bad_toml_is_an_error_naming_the_path(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    for read in (Config.from_toml, lambda path: Config.resolve(config=path, environ={})):
        with pytest.raises(ConfigError, match=reason) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_missing_unreadable_or_impossible_files_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path, "null\0byte", "", "\udcff" * 3):
        with pytest.raises(ConfigError, match="cannot be read"):
            Config.from_toml(path)


@pytest.mark.parametrize("path", [None, 3, b"x.toml", True, object()])
def test_what_is_no_path_is_an_error(path: Any) -> None:
    with pytest.raises(ConfigError, match="path of a TOML file"):
        Config.from_toml(path)


# --- environment ---------------------------------------------------------------------------------


@given(givens)
def test_environment_says_everything_that_arguments_can(values: dict[str, Any]) -> None:
    config = Config.from_env(as_env(values))
    assert config == Config(**values)
    assert config.given == values.keys()


def test_environment_defaults_to_the_one_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCCTL_REPORT_EVERY", "7")
    assert Config.from_env().report_every == 7
    assert Config.resolve().report_every == 7


@pytest.mark.parametrize("field", FIELDS)
def test_environment_error_names_the_variable_and_the_field(field: str) -> None:
    with pytest.raises(ConfigError, match=f"GCCTL_{field.upper()} .*{field}.*'b@d'.*expected"):
        Config.from_env({f"GCCTL_{field.upper()}": "b@d"})


def test_empty_variable_counts_as_unset_but_a_blank_one_does_not() -> None:
    assert Config.from_env({"GCCTL_MAX_PAUSE": "", "GCCTL_NONSENSE": ""}) == Config()
    with pytest.raises(ConfigError, match="GCCTL_MAX_PAUSE"):
        Config.from_env({"GCCTL_MAX_PAUSE": " "})


def test_unknown_variables_are_warned_about_not_refused(caplog: pytest.LogCaptureFixture) -> None:
    environ = {"GCCTL_SERVICE_HOST": "10.0.0.1", "GCCTL_MAXPAUSE": "5ms", "OTHER_MAX_PAUSE": "x"}
    with caplog.at_level(logging.WARNING, logger="gcctl"):
        assert Config.from_env(environ) == Config()
    (record,) = caplog.records
    assert record.name == "gcctl"
    assert "GCCTL_SERVICE_HOST" in record.getMessage()
    assert "GCCTL_MAXPAUSE (did you mean GCCTL_MAX_PAUSE?)" in record.getMessage()
    assert "OTHER" not in record.getMessage()


def test_reserved_variables_are_neither_fields_nor_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert Config.from_env(dict.fromkeys(RESERVED_VARIABLES, "x")) == Config()
    assert not caplog.records


@pytest.mark.parametrize("text", ["1", "true", "YES", "on"])
def test_disabled_by_a_true_word(text: str) -> None:
    assert disabled({"GCCTL_DISABLE": text}) is True


@pytest.mark.parametrize("text", ["0", "false", "No", "off", ""])
def test_not_disabled_by_a_false_word_or_nothing(text: str) -> None:
    assert disabled({"GCCTL_DISABLE": text}) is False
    assert disabled({}) is False


@pytest.mark.parametrize("text", ["2", "maybe", " ", "disable", "y\0"])
def test_unclear_disable_is_an_error_naming_the_variable(text: str) -> None:
    with pytest.raises(ConfigError, match="GCCTL_DISABLE"):
        disabled({"GCCTL_DISABLE": text})


# --- layers --------------------------------------------------------------------------------------


@given(file=givens, env=givens, code=givens, overrides=givens, policy=st.none() | st.just("off"))
def test_arguments_beat_environment_beats_file_beats_preset(
    tmp_path_factory: pytest.TempPathFactory,
    file: dict[str, Any],
    env: dict[str, Any],
    code: dict[str, Any],
    overrides: dict[str, Any],
    policy: str | None,
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "layers.toml", as_toml(file))
    named = {} if policy is None else {"policy": policy}
    environ = as_env(env)
    merged = file | env | code | overrides | named
    expected = Config(**merged)
    for config in (code, Config(**code)):
        resolved = Config.resolve(policy, config, overrides, environ | {"GCCTL_CONFIG": str(path)})
        assert resolved == expected
        assert resolved.given == merged.keys()
    # A path given in code takes the place of the one in GCCTL_CONFIG, not of the environment.
    resolved = Config.resolve(policy, path, overrides, environ | {"GCCTL_CONFIG": "/nowhere"})
    assert resolved == Config(**(file | env | overrides | named))


def test_only_given_fields_of_a_config_beat_the_environment() -> None:
    config = Config(policy="conservative", gen0_every=3)
    resolved = Config.resolve(config=config, environ={"GCCTL_GEN1_EVERY": "7"})
    assert (resolved.gen0_every, resolved.gen1_every, resolved.gen2_every) == (3, 7, 200)


def test_the_preset_is_that_of_the_policy_that_won() -> None:
    resolved = Config.resolve(
        "instagram", {"policy": "off"}, environ={"GCCTL_POLICY": "production"}
    )
    assert resolved == Config(policy="instagram")


def test_a_bad_value_is_an_error_even_where_another_layer_beats_it() -> None:
    with pytest.raises(ConfigError, match="GCCTL_MAX_PAUSE"):
        Config.resolve(overrides={"max_pause": "5ms"}, environ={"GCCTL_MAX_PAUSE": "soon"})


def test_an_error_in_the_file_of_the_environment_names_variable_and_path() -> None:
    with pytest.raises(ConfigError, match=r"GCCTL_CONFIG.*/nowhere/x\.toml.* cannot be read"):
        Config.resolve(environ={"GCCTL_CONFIG": "/nowhere/x.toml"})


def test_nothing_is_read_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, table in (("pyproject.toml", "tool.gcctl"), ("gcctl.toml", "gcctl")):
        write(tmp_path / name, as_toml({"policy": "off"}, table))
    monkeypatch.chdir(tmp_path)
    assert Config.resolve(environ={"GCCTL_CONFIG": ""}) == Config()
    assert Config.resolve(environ={"GCCTL_CONFIG": "gcctl.toml"}).policy == "off"


@pytest.mark.parametrize("config", [5, b"x.toml", ["policy"], True, object(), Config])
def test_config_of_any_other_type_is_refused(config: object) -> None:
    with pytest.raises(ConfigError, match="expected a Config, a mapping of fields, or the path"):
        Config.resolve(config=config, environ={})
