"""Records: as frozen dataclasses, without importing `dataclasses`."""

from __future__ import annotations

import copy
import dataclasses
import gc
import inspect
import pickle
import pprint
import sys
import typing

import pytest

from gcctl._base.record import field_names, record


@record()
class Point:
    """A point."""

    x: int
    y: int = 2
    name: str = ""

    @property
    def total(self) -> int:
        return self.x + self.y


@record()
class Point3(Point):
    z: int = 3


@record(hidden=["given"], init=False)
class Named:
    name: str
    given: int


def test_fields_are_given_by_position_or_name_and_have_defaults() -> None:
    assert Point(1) == Point(x=1, y=2, name="")
    assert Point(1, 5).total == 6
    assert Point3(1, 2, "", 4).z == 4
    assert field_names(Point3) == ("x", "y", "name", "z")


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((), {}, "missing ['x']"),
        ((1, 2, "", 4), {}, "4 by position"),
        ((1,), {"x": 2}, "twice ['x']"),
        ((1,), {"w": 2}, "unknown ['w']"),
    ],
)
def test_wrong_arguments_are_named(
    args: tuple[object, ...], kwargs: dict[str, object], named: str
) -> None:
    with pytest.raises(TypeError) as error:
        Point(*args, **kwargs)  # type: ignore[arg-type]
    assert named in str(error.value)
    assert "Point takes x, y, name" in str(error.value)


def test_it_is_frozen_and_has_no_dict() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x
    with pytest.raises(AttributeError):
        point.other = 2  # type: ignore[attr-defined]
    assert not hasattr(point, "__dict__")


def test_equality_hash_and_repr() -> None:
    assert Point(1) != Point(2)
    assert Point(1) != Point3(1)
    assert hash(Point(1)) == hash(Point(1))
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert repr(Point(1, name="a")) == "Point(x=1, y=2, name='a')"


def test_what_dataclasses_does_works() -> None:
    point = Point3(1, name="a")
    assert dataclasses.is_dataclass(point)
    assert [field.name for field in dataclasses.fields(point)] == ["x", "y", "name", "z"]
    assert dataclasses.fields(Point)[1].default == 2
    assert dataclasses.asdict(point) == {"x": 1, "y": 2, "name": "a", "z": 3}
    assert dataclasses.replace(point, y=7) == Point3(1, 7, "a")


def test_what_others_do_with_dataclasses_works() -> None:
    point = Point3(1, name="a")
    assert pprint.pformat(point) == repr(point)
    assert str(inspect.signature(Point)) == "(x: 'int', y: 'int' = 2, name: 'str' = '') -> None"
    assert dataclasses.fields(Point)[0] is dataclasses.fields(Point)[0]
    assert not dataclasses.fields(Point)[0].kw_only
    assert typing.get_type_hints(Point) == {"x": int, "y": int, "name": str}

    @dataclasses.dataclass(frozen=True)
    class Mine(Point3):
        extra: int = 0

    assert Mine(1, extra=4).extra == 4
    if sys.version_info >= (3, 13):
        assert copy.replace(point, y=7) == Point3(1, 7, "a")


def test_asking_again_leaves_no_garbage() -> None:
    dataclasses.asdict(Point(1))
    gc.collect()
    for _ in range(10):
        dataclasses.asdict(Point(1))
    assert gc.collect() < 10


def test_a_field_that_came_after_a_pickle_has_its_default() -> None:
    point = Point.__new__(Point)
    point.__setstate__({"x": 1})  # type: ignore[attr-defined]
    assert point == Point(1)


def test_copies_pickles_and_patterns() -> None:
    point = Point3(1, z=9)
    assert pickle.loads(pickle.dumps(point)) == point
    assert copy.copy(point) == copy.deepcopy(point) == point
    match point:
        case Point3(x, y, _, z):
            assert (x, y, z) == (1, 2, 9)


def test_hidden_fields_are_neither_shown_nor_compared() -> None:
    assert [field.name for field in dataclasses.fields(Named) if field.init] == ["name"]
