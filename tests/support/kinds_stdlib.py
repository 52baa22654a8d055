"""Objects of the standard library's C types, exceptions, weak references and finalizers."""

from __future__ import annotations

import asyncio
import contextvars
import csv
import ctypes
import decimal
import io
import json
import pickle
import random
import re
import socket
import sqlite3
import ssl
import struct
import sys
import threading
import types
import weakref
import xml.etree.ElementTree as ElementTree
from typing import Any
from xml.parsers import expat

from kinds_containers import (
    ArrayWithDict,
    BytesWithDict,
    Plain,
    TextWithDict,
    add_attribute,
    closure,
    dig,
    payload_of,
    with_attribute,
)
from payload import AWAITING_FINALIZER, Kind, Payload, came_back, finalized, note_process, rise

# Exceptions, tracebacks, frames


def raised(payload: Payload) -> Exception:
    """An exception that leads to the payload by its traceback's frames only."""
    try:
        payload.itself().missing  # type: ignore[attr-defined]  # noqa: B018
    except AttributeError as error:
        error.obj = None
        return error
    raise AssertionError


def raised_deep(payload: Payload, depth: int = 5) -> BaseException:
    """A chain of exceptions, each raised while the one before was handled."""
    try:
        try:
            raise KeyError(payload)
        except KeyError as error:
            if depth:
                raise ValueError(raised_deep(payload, depth - 1)) from error
            raise
    except Exception as error:
        return error


def local_of(frame: types.FrameType) -> Any:
    return frame.f_locals["payload"]


def frame(payload: Payload) -> types.FrameType:
    return sys._getframe(0) if payload else local_of(sys._getframe(0))


def group(payload: Payload) -> Any:
    return ExceptionGroup("all", [ValueError(payload), raised(payload)])


def variables(payload: Payload) -> Any:
    """f_locals of a frame: from 3.13 a view of it."""
    return frame(payload).f_locals


EXCEPTIONS = [
    Kind("exception", ValueError, lambda o: o.args[0], add_attribute),
    Kind("raised exception", raised, lambda o: local_of(o.__traceback__.tb_frame), add_attribute),
    Kind("chain of exceptions", raised_deep, lambda o: o.__cause__.args[0], add_attribute),
    Kind("exception group", group, lambda o: o.exceptions[0].args[0]),
    Kind("StopIteration", StopIteration, lambda o: o.value),
    Kind("OSError", lambda p: OSError(2, "text", p), lambda o: o.filename),
    Kind("ImportError", lambda p: ImportError("text", name=p), lambda o: o.name),
    Kind("AttributeError", lambda p: AttributeError("text", obj=p), lambda o: o.obj),
    Kind("SyntaxError", lambda p: SyntaxError("x", (p, 1, 1, "x")), lambda o: o.filename),
    Kind("traceback", lambda p: raised(p).__traceback__, lambda o: local_of(o.tb_frame)),
    Kind("frame", frame, local_of),
    Kind("variables of a frame", variables, lambda o: o["payload"]),
]

# C types


class Structure(ctypes.Structure):
    _fields_ = (("payload", ctypes.py_object), ("number", ctypes.c_int))


PROTOTYPE = ctypes.CFUNCTYPE(None)


class BytesIO(io.BytesIO):
    payload: Any


def callback(payload: Payload) -> Any:
    found: list[Payload] = []

    def function() -> None:
        found[:] = [payload]

    return with_attribute(PROTOTYPE(function), found)


def call_back(function: Any) -> Any:
    function()
    return function.payload.pop()


VARIABLE: contextvars.ContextVar[Any] = contextvars.ContextVar("VARIABLE")


def context(payload: Any) -> contextvars.Context:
    empty = contextvars.Context()
    empty.run(VARIABLE.set, payload)
    return empty


def deep_context(payload: Any) -> contextvars.Context:
    """Many variables, in a tree of their own kind of nodes."""
    made = context(payload)
    for number in range(40):
        made.run(contextvars.ContextVar(str(number)).set, payload)
    return made


def token(payload: Payload) -> Any:
    return context(payload).run(VARIABLE.set, None)


def element(payload: Payload) -> Any:
    made = ElementTree.Element("e", {"p": payload})  # type: ignore[dict-item]
    made.append(ElementTree.Element("child"))
    return made


def add_element(parent: Any, other: Any) -> None:
    parent[0].text = [parent, other, parent[0].text]


def xml_parser(payload: Payload) -> Any:
    parser = expat.ParserCreate()
    parser.StartElementHandler = closure(payload)
    return parser


def database(payload: Payload) -> Any:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.row_factory = closure(payload)
    return connection


def cursor(payload: Payload) -> Any:
    made = database(payload).execute("SELECT 1 UNION SELECT 2")
    made.row_factory = closure(payload)
    return made


class Connection(socket.socket):
    payload: Any
    peer: Any


def sockets(payload: Payload) -> Any:
    near, far = socket.socketpair()
    connection = with_attribute(Connection(fileno=near.detach()), payload)
    connection.peer = far
    return connection


def tls_context(payload: Payload) -> Any:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    answer: Any = closure(payload)
    made.sni_callback = answer
    return made


def tls_object(payload: Payload) -> Any:
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    plain.check_hostname = False
    made = plain.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
    return with_attribute(made, payload)


def pickler(payload: Any) -> Any:
    made: Any = pickle.Pickler(io.BytesIO())
    made.dispatch_table = {"p": payload}
    return made


def buffered_pair(payload: Payload) -> Any:
    stream = with_attribute(BytesIO(), payload)
    return io.BufferedReader(stream)


def text_stream(payload: Payload) -> Any:
    return io.TextIOWrapper(with_attribute(BytesIO(), payload))


def match(payload: Payload) -> Any:
    return re.match("(a)(b)?", with_attribute(TextWithDict("abc"), payload))


def view(payload: Payload) -> memoryview:
    return memoryview(with_attribute(BytesWithDict(b"abc"), payload))[1:]


def unstarted_thread(payload: Payload) -> Any:
    return with_attribute(threading.Thread(target=payload.itself, args=(payload,)), payload)


class Precision(decimal.Context):
    payload: Any


class Format(struct.Struct):
    payload: Any


class Dice(random.Random):
    payload: Any


class Future(asyncio.Future[Any]):
    payload: Any


class Loopless:
    def get_debug(self) -> bool:
        return False


LOOPLESS: Any = Loopless()

C_TYPES = [
    Kind("Structure", lambda p: Structure(ctypes.py_object(p)), payload_of),
    Kind("pointer", lambda p: ctypes.pointer(Structure(p)), lambda o: o.contents.payload),
    Kind("ctypes array", lambda p: (ctypes.py_object * 2)(p, p), lambda o: o[1]),
    Kind("py_object", ctypes.py_object, lambda o: o.value),
    Kind("callback", callback, call_back),
    Kind("memoryview", view, lambda o: o.obj.payload),
    Kind("array", lambda p: with_attribute(ArrayWithDict("d", [1]), p), payload_of, add_attribute),
    Kind("BytesIO", lambda p: with_attribute(io.BytesIO(), p), payload_of, add_attribute),
    Kind("StringIO", lambda p: with_attribute(io.StringIO(), p), payload_of, add_attribute),
    Kind("BufferedReader", buffered_pair, lambda o: o.raw.payload),
    Kind("TextIOWrapper", text_stream, lambda o: o.buffer.payload),
    Kind("match", match, lambda o: o.string.payload),
    Kind("context", context, lambda o: o[VARIABLE]),
    Kind("context of many variables", deep_context, lambda o: o[VARIABLE]),
    Kind("token", token, lambda o: o.old_value),
    Kind("ContextVar", lambda p: contextvars.ContextVar("v", default=p), lambda o: o.get()),
    Kind("element", element, lambda o: o.attrib["p"], add_element),
    Kind("element iterator", lambda p: element(p).iter(), dig),
    Kind("XMLParser", lambda p: ElementTree.XMLParser(target=Plain(p)), dig),
    Kind("expat parser", xml_parser, lambda o: o.StartElementHandler()),
    Kind("decimal context", lambda p: with_attribute(Precision(), p), payload_of, add_attribute),
    Kind("Struct", lambda p: with_attribute(Format("i"), p), payload_of, add_attribute),
    Kind("random", lambda p: with_attribute(Dice(1), p), payload_of, add_attribute),
    Kind("csv reader", lambda p: csv.reader(x for x in iter(p.itself, None)), dig),
    Kind("pickler", pickler, lambda o: o.dispatch_table["p"]),
    Kind("JSON decoder", lambda p: json.JSONDecoder(object_hook=closure(p)), dig),
    Kind("thread", unstarted_thread, payload_of),
    Kind("future in C", lambda p: with_attribute(Future(loop=LOOPLESS), p), payload_of),
]


DEAR = [
    Kind("database", database, lambda o: o.row_factory()),
    Kind("cursor", cursor, lambda o: o.row_factory()),
    Kind("socket", sockets, payload_of, add_attribute),
    Kind("TLS context", tls_context, lambda o: o.sni_callback()),
    Kind("TLS object", tls_object, payload_of, add_attribute),
]
"""These take system resources, or longer than all others together."""

# Weak references and finalizers


class Watched:
    """Its payload is watched by weak references with callbacks, which lie in the same garbage."""

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self.watchers = [
            weakref.ref(payload, self.called),
            weakref.ref(self, self.called),
            weakref.proxy(payload, lambda _: note_process()),
        ]
        self.weakly = weakref.WeakValueDictionary(p=payload)
        self.keys = weakref.WeakKeyDictionary({payload: self})
        self.members = weakref.WeakSet([payload])

    def called(self, _: object) -> None:
        note_process()

    def read(self) -> Payload:
        assert self.watchers[0]() is self.payload
        assert self.weakly["p"] is self.payload
        assert self.keys[self.payload] is self
        assert self.payload in self.members
        return self.payload


class Final:
    """Has a finalizer."""

    __slots__ = ("payload", "serial")

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self.serial = payload.serial
        AWAITING_FINALIZER.add(self.serial)

    def __del__(self) -> None:
        finalized(self.serial)
        self.payload.check()


class Phoenix(Final):
    """Comes back to life, once."""

    def __del__(self) -> None:
        super().__del__()
        rise(self.serial, self)


class Allocating(Final):
    """Its finalizer makes new cycles, in the middle of a collection."""

    def __del__(self) -> None:
        super().__del__()
        came_back(self.serial)  # the new garbage refers to it
        for _ in range(20):
            cycle: list[Any] = []
            cycle.append({"me": cycle, "payload": self.payload})


class Breaking(Final):
    """Its finalizer takes its own graph apart."""

    def __del__(self) -> None:
        super().__del__()
        self.payload.unlink()


def finalize(payload: Payload) -> Any:
    plain = Plain(payload)
    weakref.finalize(payload, note_process)
    plain.finalizer = weakref.finalize(plain, finalized, payload.serial)  # type: ignore[attr-defined]
    plain.finalizer.atexit = False  # type: ignore[attr-defined]
    AWAITING_FINALIZER.add(payload.serial)
    return plain


FINALIZERS = [
    Kind("weakly watched", Watched, Watched.read, add_attribute),
    Kind("WeakMethod", lambda p: [p, weakref.WeakMethod(p.itself)], lambda o: o[1]()()),
    Kind("weakref.finalize", finalize, payload_of, add_attribute),
    Kind("finalizer", Final, payload_of),
    Kind("finalizer that resurrects", Phoenix, payload_of),
    Kind("finalizer that allocates", Allocating, payload_of),
    Kind("finalizer that breaks the cycle", Breaking, payload_of),
]
