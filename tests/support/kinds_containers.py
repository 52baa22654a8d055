"""Containers, instances, classes, functions and iterators that lead to a payload."""

from __future__ import annotations

import array
import collections
import functools
import gc
import itertools
import operator
import queue
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from payload import Busy, Kind, Payload


def dig(thing: Any) -> Payload:
    """The nearest payload that an object refers to: for those that have no other way in."""
    layer = [thing]
    for _ in range(5):
        layer = gc.get_referents(*layer)
        for found in layer:
            if type(found) is Payload:
                return found
        layer = [found for found in layer if type(found) not in (type, types.ModuleType)]
    raise LookupError("no payload within reach")


class Plain:
    payload: Any

    def __init__(self, payload: Payload) -> None:
        self.payload = payload

    def method(self) -> Payload:
        return self.payload  # type: ignore[no-any-return]


class Slotted:
    __slots__ = ("others", "payload")

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self.others: list[Any] = []


class SlotsAndDict(Slotted):
    pass


class Wide:
    """More than 512 bytes: it comes from malloc."""

    __slots__ = ("payload", *(f"slot{number}" for number in range(80)))

    def __init__(self, payload: Payload) -> None:
        self.payload = payload


class ListWithDict(list[Any]):
    payload: Any


class DictWithDict(dict[str, Any]):
    payload: Any


class TupleWithDict(tuple[Any, ...]):
    payload: Any


class IntWithDict(int):
    payload: Any


class TextWithDict(str):
    payload: Any


class BytesWithDict(bytearray):
    payload: Any


class ArrayWithDict(array.array):  # type: ignore[type-arg]
    payload: Any


class Pair(NamedTuple):
    payload: Payload
    other: Any = None


@dataclass(slots=True)
class Data:
    payload: Payload
    other: Any = None


class LocalWithDefault(threading.local):
    """Another thread that looks gets the same payload."""

    def __init__(self, payload: Payload) -> None:
        self.payload = payload


def with_attribute(thing: Any, payload: Any) -> Any:
    thing.payload = payload
    return thing


def payload_of(thing: Any) -> Any:
    return thing.payload


def add_attribute(thing: Any, other: Any) -> None:
    setattr(thing, f"a{len(thing.__dict__)}", other)


def first(thing: Any) -> Any:
    return thing[0]


def materialised(payload: Payload) -> Plain:
    """An instance whose attributes were moved to a dict of their own."""
    plain = Plain(payload)
    plain.__dict__["other"] = plain
    return plain


def many_attributes(payload: Payload) -> Plain:
    plain = Plain(payload)
    for number in range(40):
        setattr(plain, f"many{number}", number)
    return plain


def growing_tuple(payload: Payload) -> tuple[Any, ...]:
    """Resized while it is made: its memory is reallocated."""
    return tuple(item for item in [payload, *range(40)])


def closure(payload: Payload) -> Callable[..., Payload]:
    return lambda *_: payload


def default_argument(payload: Payload) -> Callable[..., Payload]:
    def function(found: Payload = payload) -> Payload:
        return found

    return function


def self_closure(payload: Payload) -> Callable[[], Payload]:
    def function() -> Payload:
        return payload if function is not None else payload.itself()

    return function


def new_class(payload: Payload) -> type:
    return type("New", (Plain,), {"payload": payload, "__slots__": ()})


def new_class_instance(payload: Payload) -> Any:
    created = type("New", (), {})
    created.mine = [created]  # type: ignore[attr-defined]
    return with_attribute(created(), payload)


def super_object(payload: Payload) -> Any:
    return super(Plain, Plain(payload))


def cached(payload: Payload) -> Any:
    function = functools.lru_cache(maxsize=4)(closure(payload))
    function(function)
    function(payload)
    return function


def simple_queue(payload: Payload) -> queue.SimpleQueue[Payload]:
    filled: queue.SimpleQueue[Payload] = queue.SimpleQueue()
    filled.put(payload)
    return filled


def read_queue(filled: queue.SimpleQueue[Payload]) -> Payload:
    try:
        payload = filled.get_nowait()
    except queue.Empty:
        raise Busy from None
    filled.put(payload)
    return payload


def endless(payload: Payload) -> Iterator[Payload]:
    return itertools.repeat(payload)


def tee(payload: Payload) -> Any:
    ahead, behind = itertools.tee(endless(payload))
    next(ahead)
    return behind


def group(payload: Payload) -> Any:
    """The iterator over one group, and the parent that it refers back to."""
    grouped = itertools.groupby(endless(payload), key=id)
    return next(grouped)[1]


CONTAINERS = [
    Kind("list", lambda p: [p], first, lambda o, other: o.append(other)),
    Kind("dict", lambda p: {"p": p}, lambda o: o["p"], lambda o, x: o.setdefault(len(o), x)),
    Kind("dict key", lambda p: {p: None}, lambda o: next(iter(o))),
    Kind("set", lambda p: {p}, lambda o: next(iter(o))),
    Kind("frozenset", lambda p: frozenset([p]), lambda o: next(iter(o))),
    Kind("tuple", lambda p: (p,), first),
    Kind("large tuple", lambda p: (p,) * 100, first),
    Kind("growing tuple", growing_tuple, first),
    Kind("named tuple", Pair, payload_of),
    Kind("struct_time", lambda p: time.struct_time([p] * 9), first),
    Kind("deque", lambda p: collections.deque([p]), first, lambda o, other: o.append(other)),
    Kind(
        "defaultdict",
        lambda p: collections.defaultdict(p.itself),
        lambda o: o["new"] and o.pop("new"),
        lambda o, other: o.setdefault(len(o), other),
    ),
    Kind(
        "OrderedDict",
        lambda p: collections.OrderedDict(p=p),
        lambda o: o["p"],
        lambda o, other: o.setdefault(len(o), other),
    ),
    Kind("ChainMap", lambda p: collections.ChainMap({"p": p}), lambda o: o["p"]),
    Kind("UserDict", lambda p: collections.UserDict(p=p), lambda o: o["p"]),
    Kind("mappingproxy", lambda p: types.MappingProxyType({"p": p}), lambda o: o["p"]),
    Kind("dict view", lambda p: {"p": p}.values(), lambda o: next(iter(o))),
    Kind("items view", lambda p: {"p": p}.items(), lambda o: next(iter(o))[1]),
    Kind("slice", lambda p: slice(p, None), lambda o: o.start),
    Kind("generic alias", lambda p: types.GenericAlias(list, (p,)), lambda o: o.__args__[0]),
    Kind("SimpleQueue", simple_queue, read_queue, lambda o, other: None),
    Kind("instance", Plain, payload_of, add_attribute),
    Kind("instance with its own dict", materialised, payload_of, add_attribute),
    Kind("instance with many attributes", many_attributes, payload_of, add_attribute),
    Kind("slots", Slotted, payload_of, lambda o, other: o.others.append(other)),
    Kind("slots and dict", SlotsAndDict, payload_of, add_attribute),
    Kind("many slots", Wide, payload_of),
    Kind("dataclass", Data, payload_of, lambda o, x: setattr(o, "other", x)),
    Kind("namespace", lambda p: types.SimpleNamespace(payload=p), payload_of, add_attribute),
    Kind("module", lambda p: with_attribute(types.ModuleType("m"), p), payload_of, add_attribute),
    Kind("list subclass", lambda p: with_attribute(ListWithDict(), p), payload_of, list.append),
    Kind("dict subclass", lambda p: with_attribute(DictWithDict(), p), payload_of),
    Kind("tuple subclass", lambda p: with_attribute(TupleWithDict(), p), payload_of),
    Kind("int subclass", lambda p: with_attribute(IntWithDict(7), p), payload_of, add_attribute),
    Kind("thread local", LocalWithDefault, payload_of),
]

FUNCTIONS = [
    Kind("closure", closure, lambda o: o()),
    Kind("function that knows itself", self_closure, lambda o: o()),
    Kind("default argument", default_argument, lambda o: o()),
    Kind("cell", types.CellType, lambda o: o.cell_contents),
    Kind("bound method", lambda p: p.itself, lambda o: o()),
    Kind("method of an instance", lambda p: Plain(p).method, lambda o: o()),
    Kind("built-in method", lambda p: [p].__getitem__, lambda o: o(0)),
    Kind("method wrapper", lambda p: (p,).__iter__, lambda o: next(o())),
    Kind("staticmethod", lambda p: staticmethod(closure(p)), lambda o: o()),
    Kind("classmethod", lambda p: classmethod(closure(p)), lambda o: o.__func__()),
    Kind("property", lambda p: property(closure(p)), lambda o: o.fget()),
    Kind("cached property", lambda p: functools.cached_property(closure(p)), lambda o: o.func()),
    Kind("partial", lambda p: functools.partial(Payload.itself, p), lambda o: o()),
    Kind("lru_cache", cached, lambda o: o(0)),
    Kind(
        "cmp_to_key", lambda p: functools.cmp_to_key(lambda *_: 0 if p else 1)(p), lambda o: o.obj
    ),
    Kind("itemgetter", lambda p: operator.itemgetter(p), lambda o: o.__reduce__()[1][0]),
    Kind("methodcaller", lambda p: operator.methodcaller("append", p), dig),
    Kind("super", super_object, lambda o: o.__self__.payload),
    Kind("class", new_class, payload_of, lambda o, other: setattr(o, "other", other)),
    Kind("instance of a class of its own", new_class_instance, payload_of, add_attribute),
]

ITERATORS = [
    Kind("list iterator", lambda p: iter([p]), dig),
    Kind("reversed list", lambda p: reversed([p]), dig),
    Kind("tuple iterator", lambda p: iter((p,)), dig),
    Kind("dict iterator", lambda p: iter({p: p}), dig),
    Kind("dict item iterator", lambda p: iter({p: p}.items()), dig),
    Kind("OrderedDict iterator", lambda p: iter(collections.OrderedDict({p: p})), dig),
    Kind("set iterator", lambda p: iter({p}), dig),
    Kind("deque iterator", lambda p: iter(collections.deque([p])), dig),
    Kind("array iterator", lambda p: iter(with_attribute(ArrayWithDict("b", [1]), p)), dig),
    Kind("sequence iterator", lambda p: iter(collections.UserList([p])), dig),
    Kind("call iterator", lambda p: iter(p.itself, None), next),
    Kind("enumerate", lambda p: enumerate(endless(p)), lambda o: next(o)[1]),
    Kind("zip", lambda p: zip(endless(p), endless(p), strict=False), lambda o: next(o)[0]),
    Kind("map", lambda p: map(Payload.itself, endless(p)), next),
    Kind("filter", lambda p: filter(None, endless(p)), next),
    Kind("chain", lambda p: itertools.chain([p], endless(p)), next),
    Kind("chain of an iterator", lambda p: itertools.chain.from_iterable(map(endless, [p])), next),
    Kind("cycle", lambda p: itertools.cycle([p]), next),
    Kind("repeat", endless, next),
    Kind("islice", lambda p: itertools.islice(endless(p), sys.maxsize), next),
    Kind("starmap", lambda p: itertools.starmap(p.itself, endless(())), next),  # type: ignore[arg-type]
    Kind("accumulate", lambda p: itertools.accumulate(endless(p), lambda a, _: a), next),
    Kind("compress", lambda p: itertools.compress(endless(p), itertools.repeat(1)), next),
    Kind("takewhile", lambda p: itertools.takewhile(Payload.itself, endless(p)), next),
    Kind("filterfalse", lambda p: itertools.filterfalse(lambda _: 0, endless(p)), next),
    Kind("zip_longest", lambda p: itertools.zip_longest(endless(p)), lambda o: next(o)[0]),
    Kind("product", lambda p: itertools.product([p], repeat=2), dig),
    Kind("permutations", lambda p: itertools.permutations([p]), dig),
    Kind("combinations", lambda p: itertools.combinations([p], 1), dig),
    Kind("pairwise", lambda p: itertools.pairwise(endless(p)), lambda o: next(o)[0]),
    Kind("tee", tee, next),
    Kind("groupby", lambda p: itertools.groupby(endless(p), key=id), dig),
    Kind("group", group, next),
]
