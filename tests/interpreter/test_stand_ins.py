"""The functions of `gc` answer as without gcctl, are what they were, and become that again."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from processes import run_program

import gcctl
from gcctl._interpreter import mechanisms

pytestmark = pytest.mark.skipif(
    bool(mechanisms.missing("stand-ins")), reason="there are no stand-ins here"
)

NAMES = ("collect", "freeze", "unfreeze", "get_freeze_count", "get_objects", "get_referrers")


def test_the_functions_are_the_same_objects() -> None:
    before = [getattr(gc, name) for name in NAMES]
    told = [(repr(function), function.__doc__, function.__text_signature__) for function in before]
    with gcctl.install():
        assert [getattr(gc, name) for name in NAMES] == before
        now = [(repr(each), each.__doc__, each.__text_signature__) for each in before]
        assert now == told


@pytest.mark.parametrize(
    "call",
    [
        "gc.collect(3)",
        "gc.collect(-1)",
        "gc.collect('2')",
        "gc.collect(1, 2)",
        "gc.collect(gen=2)",
        "gc.collect(2, generation=2)",
        "gc.collect(2**80)",
        "gc.get_objects(3)",
        "gc.get_objects('0')",
        "gc.get_objects(generation=-2)",
        "gc.get_objects(1, 2)",
        "gc.get_referrers(a=1)",
        "gc.get_freeze_count(1)",
        "gc.freeze(1)",
        "gc.unfreeze(1)",
    ],
)
def test_wrong_arguments_are_refused_as_ever(call: str) -> None:
    def said() -> tuple[type, str]:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            eval(call, {"gc": gc})
        return type(caught.value), str(caught.value)

    before = said()
    with gcctl.install():
        assert said() == before


@pytest.mark.parametrize("argument", ["", "0", "1", "2", "generation=1", "generation=2", "True"])
def test_right_arguments_collect(argument: str) -> None:
    with gcctl.install("off"):
        before = gcctl.stats().collections_by_reason.explicit
        assert eval(f"gc.collect({argument})", {"gc": gc}) >= 0
        assert gcctl.stats().collections_by_reason.explicit == before + 1


def test_answers_are_those_without_gcctl(tmp_path: Path) -> None:
    program = """
import gc
from gc import get_objects, get_referrers  # references from before install()

class Node: pass
nodes = [Node() for _ in range(1000)]
import gcctl
gcctl.install()
for _ in range(50):
    with gcctl.request():
        pass
for find in (gc.get_objects, get_objects):
    print(sum(type(each) is Node for each in find()))
    print([sum(type(each) is Node for each in find(generation)) for generation in (0, 1, 2)])
print(sum(type(each) is Node for each in get_referrers(Node)))
print(nodes in gc.get_referrers(nodes[0]))
print(gc.get_freeze_count() < 1000)
print(gcctl.stats().auto.tenured)
"""
    expected = "1000\n[0, 0, 1000]\n" * 2 + "1000\nTrue\nTrue\n1\n"
    assert run_program(program, tmp_path) == expected


def test_an_audit_hook_may_do_anything_meanwhile(tmp_path: Path) -> None:
    program = """
import gc, sys
import gcctl
class Node:
    def __init__(self): self.me = self
nodes = [Node() for _ in range(1000)]
todo = []
def hook(name, arguments):
    if name in ("gc.get_objects", "gc.get_referrers") and todo:
        todo.pop()()
sys.addaudithook(hook)
gcctl.install(check_interval="1ms")
def reinstall():
    gcctl.uninstall()
    gcctl.install(check_interval="1ms")
for what in (gc.collect, gc.freeze, gc.unfreeze, nodes.clear, gcctl.uninstall, reinstall,
             lambda: gc.collect(0), gc.get_objects, gc.get_freeze_count):
    todo.append(what)
    gc.get_objects()
    todo.append(what)
    gc.get_referrers(Node)
    gcctl.tick()
    gc.collect()
gcctl.uninstall()
gc.unfreeze()
gc.collect()
print("alive", gcctl.stats().faults)
"""
    assert run_program(program, tmp_path) == "alive 0\n"


def test_a_patch_of_the_program_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    gcctl.install()
    calls = []

    def theirs(*arguments: int) -> int:
        calls.append(arguments)
        return 7

    monkeypatch.setattr(gc, "collect", theirs)
    assert gc.collect() == 7
    gcctl.tick()
    gcctl.uninstall()
    assert gc.collect() == 7
    gcctl.install()
    gcctl.uninstall()
    assert calls == [(), ()]


def test_somebody_who_exchanges_the_c_function_too_is_left_alone(tmp_path: Path) -> None:
    program = """
import ctypes, gc
import gcctl

class Method(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p)]

def method(builtin):
    where = id(builtin) + object.__basicsize__
    return Method.from_address(ctypes.c_void_p.from_address(where).value)

kind = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_void_p)
original = method(gc.freeze).function
gcctl.install("off")
ours = method(gc.freeze).function
print(ours != original)
calls = []
@kind
def theirs(module, nothing):
    calls.append(1)
    return kind(ours)(module, nothing)
address = ctypes.cast(theirs, ctypes.c_void_p).value
method(gc.freeze).function = address
for _ in range(2):
    gcctl.uninstall()
    print(method(gc.freeze).function == address)
    gc.freeze()
    gcctl.install("off")
    gc.freeze()
print(len(calls))
method(gc.freeze).function = ours
gcctl.uninstall()
print(method(gc.freeze).function == original)
"""
    assert run_program(program, tmp_path) == "True\nTrue\nTrue\n4\nTrue\n"


def test_where_one_cannot_be_made_nothing_is_tenured(tmp_path: Path) -> None:
    """A patch release may change how a function takes its arguments."""
    program = """
import ctypes, gc

class Method(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int)]

where = id(gc.get_referrers) + object.__basicsize__
method = Method.from_address(ctypes.c_void_p.from_address(where).value)
method.flags = 8  # METH_O
before = method.function
import gcctl
gcctl.install()
print(gcctl.stats().auto.tenured, gc.get_freeze_count() < 1000, method.function == before)
print("gc.get_referrers() is not what it is" in gcctl.report())
gcctl.uninstall()
"""
    assert run_program(program, tmp_path) == "0 True True\nTrue\n"


def test_finalizers_see_no_frame_of_gcctl(tmp_path: Path) -> None:
    program = """
import gc, sys
import gcctl
class Node:
    def __init__(self): self.me = self
    def __del__(self):
        frame, names = sys._getframe(1), []
        while frame is not None:
            if frame.f_code.co_name != "watched":  # which the tests put around all finalizers
                names.append(frame.f_code.co_name)
            frame = frame.f_back
        print(names)
def caller():
    Node()
    gc.collect()
for policy in ("auto", "off"):
    gcctl.install(policy)
    caller()
    gcctl.uninstall()
"""
    assert run_program(program, tmp_path) == "['caller', '<module>']\n" * 2


def test_switched_off_by_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCCTL_WITHOUT", "stand-ins")
    with gcctl.install("off"):
        gc.collect()
        stats = gcctl.stats()
    assert stats.explicit_callers == ()
    assert stats.collections_by_reason.explicit >= 1
