"""The configuration: checked once, never changed afterwards, the same from every source.

Each source (arguments, a mapping, TOML, the environment) becomes a layer: a dict of fields that
`gcctl._config.fields` has checked and normalised. A `Config` is layers over a preset.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Self

from gcctl._base import log
from gcctl._base.errors import ConfigError
from gcctl._base.public import public
from gcctl._base.record import fill, record
from gcctl._config.fields import (
    AT_MOST_EVERY,
    DURATION,
    FLAG,
    KINDS,
    MAX_TEXT,
    NS_PER_S,
    parse,
    parse_layer,
    shown,
)
from gcctl._config.presets import ACTING, DEFAULT_POLICY, PRESETS, Values
from gcctl._interpreter import mechanisms
from gcctl._process.main_interpreter import IS_MAIN

PREFIX: Final = "GCCTL_"
RESERVED_VARIABLES: Final = frozenset(
    {"GCCTL_IMPL", "GCCTL_BUILD_EXT", "GCCTL_DISABLE", "GCCTL_CONFIG", mechanisms.VARIABLE}
)
"""Variables that gcctl reads and that are not fields."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def _mapping_layer(values: Any) -> dict[str, Any]:
    if not issubclass(type(values), Mapping):
        raise ConfigError(f"config: {shown(values)} is not accepted; expected a mapping of fields")
    return parse_layer(values)


def _environment_layer(environ: Mapping[str, str]) -> dict[str, Any]:
    variables = {PREFIX + name.upper(): name for name in KINDS}
    # An empty variable counts as unset: many deployment templates cannot unset one otherwise.
    ours = {name: text for name, text in environ.items() if name.startswith(PREFIX) and text != ""}
    unknown = ours.keys() - variables.keys() - RESERVED_VARIABLES
    if unknown:
        # Not an error: Kubernetes gives every pod GCCTL_SERVICE_HOST beside a service named gcctl.
        log.warning(
            "ignored environment variables that are no gcctl settings: %s",
            ", ".join(name + _nearest(name, variables) for name in sorted(unknown)),
        )
    known = {variables[name]: text for name, text in ours.items() if name in variables}
    return parse_layer(
        known, lambda field_name: f"{PREFIX}{field_name.upper()} (field {field_name})"
    )


def _nearest(variable: str, known: Iterable[str]) -> str:
    import difflib  # for warnings only

    near = difflib.get_close_matches(variable[:MAX_TEXT], sorted(known), n=1, cutoff=0.8)
    return f" (did you mean {near[0]}?)" if near else ""


def _file_layer(path: Any, file: str = "config file") -> dict[str, Any]:
    if not issubclass(type(path), str | os.PathLike):
        raise ConfigError(
            f"config: {shown(path)} is not accepted; expected the path of a TOML file"
        )
    where = str.__str__(os.fsdecode(path))  # a subclass may have any __str__()
    try:
        with open(where, "rb") as stream:
            content = stream.read()
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise ConfigError(f"{file} {where!r} cannot be read: {error}") from error
    import tomllib  # for files only

    try:
        table: object = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} {where!r} is not TOML: {error}") from error
    keys = ("tool", "gcctl") if os.path.basename(where) == "pyproject.toml" else ("gcctl",)
    for key in keys:
        if not isinstance(table, dict) or key not in table:
            raise ConfigError(f"{file} {where!r} has no table [{'.'.join(keys)}]")
        table = table[key]
    if not isinstance(table, dict):
        raise ConfigError(f"{file} {where!r}: {'.'.join(keys)} is {shown(table)}; expected a table")
    return parse_layer(table, lambda name: f"{file} {where!r}, {name}")


@public
@record(init=False, hidden=["given"])
class Config(Values):
    """A complete, checked configuration: keyword arguments over the preset of `policy`.

    Any field of `Values` (presets.py) may be given, in any spelling that docs/configuration.md
    lists (`max_pause="10ms"`, `memory_limit="1GiB"`). The preset has the value of each field that
    is left out. Attributes hold normalised values; a Config made from them is equal. Raises
    ConfigError for an unknown field and for a value that is not accepted.
    """

    given: frozenset[str]
    """Names of the fields that were given. The preset has filled in the others."""

    def __init__(self, /, **values: Any) -> None:
        # Not the generated __init__: it would take the normalised types only, and a type checker
        # would refuse max_pause="10ms". Also, a name that is not given needs no sentinel here.
        layer = parse_layer(values)
        preset = PRESETS[layer.get("policy", DEFAULT_POLICY)]
        fill(self, {name: layer.get(name, getattr(preset, name)) for name in KINDS})
        fill(self, {"given": frozenset(layer)})

    @property
    def max_pause_ns(self) -> int:
        """`max_pause` in whole nanoseconds."""
        return round(self.max_pause * NS_PER_S)

    @property
    def check_interval_ns(self) -> int:
        """`check_interval` in whole nanoseconds."""
        return round(self.check_interval * NS_PER_S)

    @property
    def explicit_interval_ns(self) -> int | None:
        """The shortest time between two full collections by `gc.collect()`; None: any."""
        if not self.explicit_collect.startswith(AT_MOST_EVERY):
            return None
        text = self.explicit_collect[len(AT_MOST_EVERY) :]
        return round(float(parse(DURATION, "explicit_collect", text)) * NS_PER_S)

    @property
    def emergency_interval_ns(self) -> int | None:
        """`emergency_interval` in whole nanoseconds; None: no emergency collections."""
        interval = self.emergency_interval
        return None if interval is None else round(interval * NS_PER_S)

    def replace(self, /, **changes: Any) -> Self:
        """A copy with these fields given; with another `policy`, its preset fills in the rest.

        `dataclasses.replace` would give every field, so that no preset could fill in any.
        """
        return type(self)(**(_given(self) | parse_layer(changes)))

    def only_measuring(self) -> Self:
        """A copy under the policy `off`, without the fields by which gcctl acts by itself.

        A `memory_limit` that was given stays.
        """
        given = {name: value for name, value in _given(self).items() if name not in ACTING}
        return type(self)(**{**given, "policy": "off"})

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Self:
        """From field names, from the source document's dict as it stands, or from a mix of both.

        Raises ConfigError for what is unknown or not accepted, and for a field given twice.
        """
        return cls(**_mapping_layer(mapping))

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """From the table [gcctl] of a TOML file, or [tool.gcctl] of a pyproject.toml.

        Raises ConfigError, naming the path, for a file, table or value that is not accepted.
        """
        return cls(**_file_layer(path))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """From the variables GCCTL_<FIELD>; unknown GCCTL_ names are logged as a warning.

        Raises ConfigError, naming the variable, for a value that is not accepted.
        """
        return cls(**_environment_layer(environ))

    @classmethod
    def resolve(
        cls,
        policy: str | None = None,
        config: Any = None,
        overrides: Mapping[str, object] = _NOTHING,
        environ: Mapping[str, str] = os.environ,
    ) -> Self:
        """From all sources: arguments beat the environment, which beats the file, which beats the
        preset.

        Among the arguments, `policy` beats `overrides`, which beat a Config or a mapping given as
        `config`. Of a Config only the `given` fields count. The file is `config` if that is a path,
        else the one that GCCTL_CONFIG names. The policy that wins says which preset fills in the
        rest. Every source is checked, even if another one beats it, and so is GCCTL_WITHOUT. Raises
        ConfigError.
        """
        mechanisms.demand_known(environ)
        arguments: dict[str, Any] = {}
        path: Any = None
        if issubclass(type(config), Config):
            arguments = _given(config)
        elif issubclass(type(config), Mapping):
            arguments = parse_layer(config)
        elif issubclass(type(config), str | os.PathLike):
            path = config
        elif config is not None:
            raise ConfigError(
                f"config: {shown(config)} is not accepted; "
                "expected a Config, a mapping of fields, or the path of a TOML file"
            )
        arguments |= _mapping_layer(overrides)
        if policy is not None:
            arguments |= parse_layer({"policy": policy})
        file: dict[str, Any] = {}
        if path is not None:
            file = _file_layer(path)
        elif named := environ.get("GCCTL_CONFIG"):
            file = _file_layer(named, "config file of GCCTL_CONFIG")
        return cls(**(file | _environment_layer(environ) | arguments))


def _given(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.given}


def disabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether gcctl is to do nothing here: because GCCTL_DISABLE says so, or because this is not
    the main interpreter. Raises ConfigError for a value that is neither yes nor no."""
    if not IS_MAIN:
        return True
    text = environ.get("GCCTL_DISABLE", "")
    kind = FLAG._replace(accepted="1, true, yes, on, or 0, false, no, off, or nothing")
    return bool(text != "" and parse(kind, "GCCTL_DISABLE", text))
