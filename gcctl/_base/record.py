"""Immutable records with defaults, as `@dataclass(frozen=True, slots=True)` makes them.

The module `dataclasses` imports `inspect`. The two take longer to import than all of gcctl. So a
record gets what makes it a dataclass when somebody asks for the first time: `dataclasses.fields`,
`asdict` and `replace`, `pprint` and `inspect.signature` work on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

T = TypeVar("T")


class _OfDataclass:
    """An attribute that a dataclass would have, made for the class when somebody asks for it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type[_Record]) -> Any:
        import dataclasses
        import inspect

        def field(name: str) -> Any:
            if name in owner._hidden:
                return dataclasses.field(init=False, repr=False, compare=False)
            if name in owner._defaults:
                return dataclasses.field(default=owner._defaults[name])
            return dataclasses.field()

        fields = [(name, kind, field(name)) for name, kind in owner._types.items()]
        made: Any = dataclasses.make_dataclass(
            owner.__name__, fields, frozen=True, kw_only=owner._kw_only, slots=True
        )
        for name in ("__dataclass_fields__", "__dataclass_params__"):
            setattr(owner, name, getattr(made, name))
        if owner.__init__ is _Record.__init__:
            owner.__signature__ = inspect.signature(made)  # type: ignore[attr-defined]
        return getattr(owner, self._name)


_OF_DATACLASS = {
    name: _OfDataclass(name)
    for name in ("__dataclass_fields__", "__dataclass_params__", "__signature__")
}


class _Record:
    """What all records have."""

    __slots__ = ()

    if TYPE_CHECKING:  # they are no fields, and typing.get_type_hints() must not list them
        _types: ClassVar[dict[str, Any]]
        _defaults: ClassVar[dict[str, Any]]
        _hidden: ClassVar[tuple[str, ...]]
        _given: ClassVar[tuple[str, ...]]
        _kw_only: ClassVar[bool]
    else:
        _types, _defaults, _hidden, _given = {}, {}, (), ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = self._given
        values = {**self._defaults, **dict(zip(names, args, strict=False)), **kwargs}
        twice = args and not kwargs.keys().isdisjoint(names[: len(args)])
        if values.keys() != {*names} or len(args) > len(names) or twice:
            raise TypeError(
                f"{type(self).__name__} takes {', '.join(names)}, each at most once; "
                f"missing {[name for name in names if name not in values]}, "
                f"unknown {[name for name in values if name not in names]}, "
                f"twice {[name for name in names[: len(args)] if name in kwargs]}, "
                f"{len(args)} by position"
            )
        fill(self, values)

    def _asdict(self) -> dict[str, Any]:
        """The fields by name, as a NamedTuple gives them."""
        return {name: getattr(self, name) for name in self._types}

    def __setattr__(self, name: str, value: object) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is type(self):
            return _compared(self) == _compared(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(_compared(self).values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in _compared(self).items())
        return f"{type(self).__qualname__}({fields})"

    def __getstate__(self) -> dict[str, Any]:
        return self._asdict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        fill(self, {**self._defaults, **state})  # a field may have been added since it was pickled

    def __replace__(self, /, **changes: Any) -> Any:
        """For `copy.replace()`."""
        return type(self)(**{name: getattr(self, name) for name in self._given} | changes)


def _compared(self: _Record) -> dict[str, Any]:
    return {name: getattr(self, name) for name in self._types if name not in self._hidden}


def field_names(record: type) -> tuple[str, ...]:
    names: tuple[str, ...] = record.__match_args__  # type: ignore[attr-defined]
    return names


def fill(record: object, values: dict[str, Any]) -> None:
    """Set fields of a record that is being made; nobody else may."""
    put = object.__setattr__
    for name, value in values.items():
        put(record, name, value)


@dataclass_transform(frozen_default=True)
def record(
    *, kw_only: bool = False, init: bool = True, hidden: Iterable[str] = ()
) -> Callable[[type[T]], type[T]]:
    """Make a record of a class: its annotated names are the fields, after those of its bases.

    `hidden` fields are neither given nor shown nor compared. `kw_only` and `init=False` (the class
    has an `__init__` of its own) are told to type checkers and to who asks for the dataclass.
    """

    def make(cls: type[T]) -> type[T]:
        own, given = dict(cls.__annotations__), vars(cls)
        left_out = {*own, "__dict__", "__weakref__"}
        namespace = {name: value for name, value in given.items() if name not in left_out}
        base: Any = cls.__base__ if issubclass(cls, _Record) else _Record
        namespace["_types"] = {**base._types, **own}
        namespace["_defaults"] = {**base._defaults, **{n: given[n] for n in own if n in given}}
        namespace["_hidden"] = (*base._hidden, *hidden)
        namespace["_given"] = tuple(
            name for name in namespace["_types"] if name not in namespace["_hidden"]
        )
        namespace["__slots__"] = (*own,)
        namespace["__match_args__"] = (*namespace["_types"],)
        namespace["_kw_only"] = kw_only
        namespace |= _OF_DATACLASS
        if "__init__" in given:
            del namespace["__signature__"]
        # Slots cannot be added to a class: it is made anew, as dataclasses does.
        made: type[T] = type(cls.__name__, (base,), namespace)
        made.__qualname__ = cls.__qualname__
        return made

    return make
