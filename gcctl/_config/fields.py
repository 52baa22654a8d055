"""How the fields of a configuration are read: units, accepted values, and the text of errors.

The table `KINDS` says how each field is parsed and what it accepts. The values of all sources
(arguments, a mapping, TOML, the environment) go through `parse_layer`, which uses that table. Only
the label differs under which an error is reported.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gcctl._base.errors import ConfigError
from gcctl._config.presets import PRESETS

if TYPE_CHECKING:
    import re
    from fractions import Fraction

NS_PER_S: Final = 10**9
_HOUR_NS: Final = 3600 * NS_PER_S
AT_MOST_EVERY: Final = "at most every "
MAX_TEXT: Final = 100  # characters; no value needs more, and parsing always stays instant


class _RejectedError(ValueError):
    """Raised by a parser; its text, if any, is a hint added to the ConfigError."""


_Label = Callable[[str], str]
"""Turns the name of a field into the words an error uses for it and where it came from."""


class Kind(NamedTuple):
    parse: Callable[[Any], Any]  # plain value -> normalised value; raises ValueError
    accepted: str  # completes the sentence "expected …"


# Parsing goes through Fraction because 0.1 has no float, and a limit of "0.1s" is 100,000,000 ns.
_QUANTITY = r"([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,3})?) ?([A-Za-z\u00b5\u03bc%]*)"
_DURATION_NS: Mapping[str, int] = {
    "": NS_PER_S,
    "ns": 1,
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs"), 10**3),  # the micro sign and the Greek letter
    "ms": 10**6,
    "s": NS_PER_S,
    **dict.fromkeys(("m", "min"), 60 * NS_PER_S),
    "h": _HOUR_NS,
}
_SIZE_BYTES: Mapping[str, int] = {"": 1, "b": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("kmgt", start=1)
    for suffix, base in (("", 1024), ("ib", 1024), ("b", 1000))
}
_PERCENT: Mapping[str, int] = {"%": 1, "": 100}
_WORDS: Mapping[str, bool] = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(
    ("0", "false", "no", "off"), False
)


def _plain(value: Any) -> Any:
    """Reduce a subclass of str, int or float (StrEnum, numpy's float64) to the builtin itself.

    The slots of the builtin are called, not the methods of the subclass, which may do anything.
    """
    kind = type(value)
    if issubclass(kind, str):
        text = str.__str__(value).strip(" \t\r\n")
        if len(text) > MAX_TEXT:
            raise _RejectedError(f"longer than {MAX_TEXT} characters")
        return text
    if issubclass(kind, int) and kind is not bool:
        return int.__int__(value)
    return float.__float__(value) if issubclass(kind, float) else value


def _fullmatch(pattern: str, text: str) -> re.Match[str] | None:
    import re  # for values that are text: with it, gcctl takes a quarter longer to import

    return re.fullmatch(pattern, text)


def shown(value: object) -> str:
    """A short repr, whatever the object's own does."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__} without a repr>"
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."


def _hint(name: str, known: Iterable[str], also: Iterable[str] = ()) -> str:
    """The end of a sentence: the name of `known` or `also` that is nearest, or else all known."""
    import difflib  # for errors only

    near = difflib.get_close_matches(name[:MAX_TEXT].lower(), sorted({*known, *also}), n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"


def _within(low: int, value: int, high: int) -> int:
    if not low <= value <= high:
        raise _RejectedError
    return value


def _quantity(value: Any, units: Mapping[str, int]) -> Fraction:
    """The exact number, in the unit that counts as 1; "" is the unit of a bare number."""
    from fractions import Fraction  # the defaults need none

    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return Fraction(value) * units[""]
    match = _fullmatch(_QUANTITY, value) if type(value) is str else None
    if match is None or match[2] not in units:
        raise _RejectedError
    return Fraction(match[1]) * units[match[2]]


def _whole(low: int, high: int, value: Any) -> int:
    if type(value) is str and _fullmatch("[0-9]+", value):
        value = int(value)
    if type(value) is not int:
        raise _RejectedError
    return _within(low, value, high)


def _duration(low_ns: int, high_ns: int, value: Any) -> float:
    # Whole nanoseconds survive the trip through float seconds up to 52 days.
    return _within(low_ns, round(_quantity(value, _DURATION_NS)), high_ns) / NS_PER_S


def _percent(value: Any, units: Mapping[str, int], *, zero: bool = False) -> Fraction:
    percent = _quantity(value, units)
    if not (0 <= percent <= 100 and (zero or float(percent / 100) > 0)):  # its float may be zero
        raise _RejectedError
    return percent


def _share(value: Any, *, zero: bool = False) -> float:
    return float(_percent(value, _PERCENT, zero=zero) / 100)


def _memory(value: Any) -> int | str:
    if type(value) is float:
        raise _RejectedError("a number means bytes, a share needs its percent sign")
    if type(value) is str and value.endswith("%"):
        return f"{float(_percent(value, {'%': 1})):g}%"
    return _size(value)


def _size(value: Any) -> int:
    if type(value) is float:
        raise _RejectedError("a number means bytes, and bytes are whole")
    if type(value) is str and value.endswith("%"):
        raise _RejectedError(
            "a share is not accepted here: it is compared with this process's own resident memory"
        )
    if type(value) is str and value.isascii():  # lower() makes a plain k of the Kelvin sign
        value = value.lower()
    return _within(1, math.floor(_quantity(value, _SIZE_BYTES)), 2**63 - 1)


def _thresholds(value: Any) -> tuple[int, ...]:
    parts = value.split(",") if type(value) is str else value
    if type(parts) not in (list, tuple) or len(parts) != 3:
        raise _RejectedError
    numbers = tuple(_whole(0, 2**31 - 1, _plain(part)) for part in parts)
    if numbers[0] == 0:
        raise _RejectedError("0 would switch automatic GC off: that is automatic_gc=False")
    return numbers


def _flag(value: Any) -> bool:
    flag = _WORDS.get(value.lower()) if type(value) is str else value
    if type(flag) is not bool:
        raise _RejectedError
    return flag


def _policy(value: Any) -> str:
    if type(value) is not str:
        raise _RejectedError
    if value not in PRESETS:
        raise _RejectedError(_hint(value, PRESETS))
    return value


def _choice(names: tuple[str, ...], value: Any) -> str:
    if type(value) is not str:
        raise _RejectedError
    if value.lower() not in names:
        raise _RejectedError(_hint(value, names))
    return value.lower()


def _explicit_collect(value: Any) -> str:
    text = " ".join(value.lower().split()) if type(value) is str else ""
    if text.startswith(AT_MOST_EVERY):
        parse(DURATION, "", text[len(AT_MOST_EVERY) :])
        return text
    return _choice(("run", "concurrent"), value)


def _stagger(value: Any) -> str:
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if type(path) is not str or "\0" in path:
        raise _RejectedError
    if path.lower() == "auto":
        return "auto"
    if not os.path.isabs(path):
        raise _RejectedError("a relative path would be another file in each working directory")
    return path


def _or_none(word: str, parse: Callable[[Any], Any], value: Any) -> Any:
    """`word` means None: TOML and the environment have no None."""
    if value is None or (type(value) is str and value.lower() == word):
        return None
    return parse(value)


def _manual(value: Any) -> bool | None:
    """The source document's switch as `automatic_gc`: off if manual, else left as found."""
    return False if _flag(value) else None


def _in_unit(unit: str, parse: Callable[[Any], Any], value: Any) -> Any:
    """A bare number, which counts in `unit`, as in the source document's dict."""
    if type(value) not in (int, float):
        raise _RejectedError
    return parse(f"{value}{unit}")


FLAG = Kind(_flag, "true or false")
_COUNT = Kind(
    partial(_or_none, "never", partial(_whole, 1, 10**9)),
    'a whole number of requests from 1 to 1000000000, or None ("never")',
)
_BUDGET = Kind(_share, 'a share above 0 and up to 1, such as "1%" or 0.01')
DURATION = Kind(
    partial(_duration, 1, _HOUR_NS), 'a duration from 1ns to 1h, such as "10ms" or 0.01 (seconds)'
)
KINDS: Final[Mapping[str, Kind]] = {
    "policy": Kind(_policy, f"one of {', '.join(sorted(PRESETS))}"),
    **dict.fromkeys(
        ("gen0_every", "gen1_every", "gen2_every", "report_every", "recycle_after_requests"), _COUNT
    ),
    "full_collection": Kind(partial(_choice, ("stop", "concurrent")), "one of concurrent, stop"),
    "explicit_collect": Kind(
        _explicit_collect, 'run, concurrent, or "at most every" and a duration from 1ns to 1h'
    ),
    "stagger": Kind(
        partial(_or_none, "none", _stagger),
        'the absolute path of a lock file, "auto", or None ("none")',
    ),
    "automatic_gc": Kind(partial(_or_none, "leave", _flag), 'true, false, or None ("leave")'),
    "thresholds": Kind(
        partial(_or_none, "leave", _thresholds),
        'three whole numbers up to 2147483647, such as "700,10,10", the first not 0, '
        'or None ("leave")',
    ),
    "max_pause": DURATION,
    "memory_limit": Kind(
        partial(_or_none, "none", _memory),
        'a size of at least 1 byte, such as "1GiB", 1073741824 (bytes) or "80%", or None ("none")',
    ),
    "check_interval": Kind(
        partial(_duration, 10**6, _HOUR_NS),
        'a duration from 1ms to 1h, such as "100ms" or 0.1 (seconds)',
    ),
    **dict.fromkeys(("pressure_budget", "gc_budget"), _BUDGET),
    "max_collections_per_minute": _COUNT._replace(
        accepted='a whole number from 1 to 1000000000, or None ("never")'
    ),
    "emergency_interval": Kind(
        partial(_or_none, "never", partial(_duration, 1, 24 * _HOUR_NS)),
        'a duration from 1ns to 24h, such as "10s" or 10 (seconds), or None ("never")',
    ),
    "recycle_above": Kind(
        partial(_or_none, "none", _size),
        'a size of at least 1 byte, such as "1GiB" or 1073741824 (bytes), or None ("none")',
    ),
    "recycle_jitter": Kind(
        partial(_share, zero=True),
        'a share from 0 up to 1, such as "10%" or 0.1',
    ),
    "final_collection": FLAG,
    "at_exit": Kind(partial(_choice, ("complete", "fast")), "one of complete, fast"),
    "monitoring": FLAG,
}
_GENERATIONS = ("gen0_every", "gen1_every", "gen2_every")

# The names of the source document's dict, with dots for nesting: the field that each stands for,
# and how it is read. Its MB are MiB.
_SOURCE_NAMES: Final[dict[str, tuple[str, Kind]]] = {
    "enable_manual_gc": ("automatic_gc", Kind(_manual, "true or false")),
    **{f"gc_frequency.{name}_requests": (name, _COUNT) for name in _GENERATIONS},
    "memory_threshold_mb": (
        "memory_limit",
        Kind(partial(_in_unit, "MiB", _memory), "a positive number of MiB"),
    ),
    "max_gc_pause_ms": (
        "max_pause",
        Kind(
            partial(_in_unit, "ms", partial(_duration, 1, _HOUR_NS)), "a number of ms, at most 1h"
        ),
    ),
    "enable_monitoring": ("monitoring", FLAG),
}
SOURCE_POLICY: Final = "production"
"""The preset for those who use the source document's names: it has the document's other values."""

_NAMES = {name: (name, kind) for name, kind in KINDS.items()} | _SOURCE_NAMES


def parse(kind: Kind, label: str, value: object) -> Any:
    try:
        return kind.parse(_plain(value))
    except ValueError as error:
        hint = f" ({error})" if isinstance(error, _RejectedError) and error.args else ""
        raise ConfigError(
            f"{label}: {shown(value)} is not accepted{hint}; expected {kind.accepted}"
        ) from None


def _flattened(values: Mapping[Any, Any], label: _Label) -> Iterator[tuple[Any, Any]]:
    """Names and values, with the source document's one nested table under dotted names."""
    for name, value in values.items():
        if type(name) is not str or name != "gc_frequency":
            yield name, value
        elif issubclass(type(value), Mapping):
            for inner, number in value.items():
                yield f"{name}.{inner if type(inner) is str else shown(inner)}", number
        else:
            raise ConfigError(
                f"{label(name)}: {shown(value)} is not accepted; expected a table with "
                "gen0_every_requests, gen1_every_requests, gen2_every_requests"
            )


def _both(label: _Label, first: str, second: str) -> ConfigError:
    return ConfigError(f"{label(first)} and {second} are two ways to say one thing: give only one")


def parse_layer(values: Mapping[Any, Any], label: _Label = str) -> dict[str, Any]:
    """Normalised fields from names and values as given."""
    layer: dict[str, Any] = {}
    given_as: dict[str, str] = {}
    for name, value in _flattened(values, label):
        if type(name) is not str or name not in _NAMES:
            nearest = _hint(name if type(name) is str else "", KINDS, also=_NAMES)
            raise ConfigError(f"{label(shown(name))}: unknown field; {nearest}")
        target, kind = _NAMES[name]
        if given_as.setdefault(target, name) != name:
            raise _both(label, given_as[target], name)
        layer[target] = parse(kind, label(name), value)
    if "policy" not in layer and any(name in _SOURCE_NAMES for name in given_as.values()):
        layer["policy"] = SOURCE_POLICY
    if given_as.get("automatic_gc") == "enable_manual_gc" and layer["automatic_gc"] is None:
        # Not manual: the document's schedule, which its dict may have too, is then switched off.
        for target in _GENERATIONS:
            if given_as.get(target) == target:
                raise _both(label, "enable_manual_gc", target)
            layer[target] = None
    return layer
