"""The functions of the module `gc` answer under gcctl as they do without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from as_python import POLICIES, assert_as_python
from processes import PATIENCE_SECONDS, needs_fork, run_program

from gcctl._interpreter.collector import COLLECTOR

pytestmark = pytest.mark.skipif(
    COLLECTOR == "free-threaded", reason="gcctl freezes nothing there and replaces nothing"
)

BEGINNING = """
import gc, inspect, os, pickle, sys, threading, time, weakref


class Node:
    def __init__(self, number=0):
        self.number = number
        self.itself = self


def count(found):
    return sum(type(one) is Node for one in found)


def where():  # no answer is kept: it would have another one in it, and that makes cycles
    counts = [count(gc.get_objects(generation=generation)) for generation in range(3)]
    return [*counts, count(gc.get_objects())]


gc.collect()
"""


def as_python(program: str, directory: Path, *policies: str) -> str:
    return assert_as_python(BEGINNING + program, directory, *policies)


class TestObjects:
    @pytest.mark.skipif(COLLECTOR != "generational", reason="as three generations have them")
    def test_each_is_in_its_generation(self, tmp_path: Path) -> None:
        program = """
kept = [Node() for _ in range(10)]
print(where())
gc.collect(0)
print(where())
kept += [Node() for _ in range(10)]
print(where())
gc.collect(1)
print(where())
kept += [Node() for _ in range(10)]
for _ in range(3):
    gc.collect()
    print(where(), len(gc.get_objects(None)) > 1000, len(gc.get_objects(2)) > 1000)
"""
        printed = as_python(program, tmp_path).splitlines()
        assert printed[0] == "[10, 0, 0, 10]"
        assert printed[-1] == "[0, 0, 30, 30] True True"

    def test_all_of_them_are_found_while_the_program_works(self, tmp_path: Path) -> None:
        program = """
kept = []
for turn in range(50):
    kept += [Node() for _ in range(1000)]
    time.sleep(0.002)
    if where()[3] != len(kept):
        print(turn, where())
print(where()[3])
"""
        assert as_python(program, tmp_path) == "50000\n"

    def test_none_is_there_twice(self, tmp_path: Path) -> None:
        program = """
kept = [Node() for _ in range(1000)]
for _ in range(3):
    found = gc.get_objects()
    print(len(found) - len(set(map(id, found))))
    gc.collect()
"""
        assert as_python(program, tmp_path) == "0\n0\n0\n"

    @pytest.mark.parametrize("generation", ["None", "0"])
    def test_an_answer_has_nothing_in_it_that_was_made_for_it(
        self, generation: str, tmp_path: Path
    ) -> None:
        # gcctl may replace objects of its own between two answers, but not each time.
        program = f"""
def new():
    first = gc.get_objects(generation={generation})
    second = gc.get_objects(generation={generation})
    seen = set(map(id, first))
    return sorted(type(one).__name__ for one in second if id(one) not in seen)
for _ in range(3):
    print(min((new() for _ in range(5)), key=len))
    gc.collect()
"""
        as_python(program, tmp_path)

    def test_an_object_has_the_referrers_that_the_program_made(self, tmp_path: Path) -> None:
        program = """
kept = [Node()]
for _ in range(3):
    found = gc.get_objects()
    lists = [one for one in found if type(one) is list and one is not kept]
    print(sum(any(node is kept[0] for node in one) for one in lists), end=" ")
    del found, lists
    print(sum(type(one) is list for one in gc.get_referrers(kept[0])), sys.getrefcount(kept[0]))
    gc.collect()
"""
        as_python(program, tmp_path)

    def test_between_requests_and_in_them(self, tmp_path: Path) -> None:
        program = """
import gcctl
kept = [Node() for _ in range(100)]
gc.collect()
for turn in range(30):
    with gcctl.request():
        kept.append(Node())
        if where()[3] != len(kept):
            print(turn, "in it", where())
    if where()[3] != len(kept):
        print(turn, "after it", where())
    time.sleep(0.002)
print(where()[3])
"""
        assert as_python(program, tmp_path) == "130\n"

    def test_during_a_concurrent_collection(self, tmp_path: Path) -> None:
        program = """
import gcctl
kept = [Node() for _ in range(100)]
gcctl.install()
collection = gcctl.collect_concurrently()
print(where()[3])
collection.finish()
print(where()[3])
"""
        assert run_program(BEGINNING + program, tmp_path) == "100\n100\n"

    @needs_fork
    def test_in_a_forked_child(self, tmp_path: Path) -> None:
        program = """
kept = [Node() for _ in range(100)]
gc.collect()
if not os.fork():
    print(where()[3], gc.get_freeze_count() < 1000, gc.collect(), where()[3], flush=True)
    os._exit(0)
os.wait()
print(where()[3])
"""
        assert as_python(program, tmp_path) == "100 True 0 100\n100\n"


class TestReferrers:
    def test_instances_of_a_class_that_is_loaded_again(self, tmp_path: Path) -> None:
        """What autoreloaders do."""
        program = """
class Old: pass
class New: pass
kept = [Old() for _ in range(1000)]
gc.collect()
for one in gc.get_referrers(Old):
    if type(one) is Old:
        one.__class__ = New
print(sum(type(one) is New for one in kept), gc.get_referrers(Old, New) != [])
"""
        assert as_python(program, tmp_path) == "1000 True\n"

    def test_of_several_objects_old_and_young(self, tmp_path: Path) -> None:
        program = """
one, two = Node(1), Node(2)
old = [[one], {"two": two}, (one, two)]
gc.collect()
young = [[one], {"two": two}]
def found(*objects):
    lists = (list, dict, tuple)
    return sorted(repr(type(it)) for it in gc.get_referrers(*objects) if type(it) in lists)
print(found(one))
print(found(one, two))
print(gc.get_referrers())
"""
        as_python(program, tmp_path)

    def test_referents_and_being_tracked(self, tmp_path: Path) -> None:
        program = """
one = Node()
gc.collect()
print(gc.is_tracked(one), gc.is_finalized(one), sorted(map(repr, map(type, gc.get_referents(one)))))
"""
        as_python(program, tmp_path)


class TestFreezing:
    def test_the_count_is_of_what_the_program_has_frozen(self, tmp_path: Path) -> None:
        program = """
def few():  # CPython 3.12 begins with some hundreds
    return gc.get_freeze_count() < 1000
kept = [Node() for _ in range(5000)]
print(few())
gc.collect()
print(few())
gc.freeze()
print(few(), gc.get_freeze_count() > 5000, where())
gc.unfreeze()
print(few(), where()[3])
"""
        expected = "True\nTrue\nFalse True [0, 0, 0, 0]\nTrue 5000\n"
        assert as_python(program, tmp_path) == expected


class TestExplicitCollections:
    def test_find_what_they_find_without_gcctl(self, tmp_path: Path) -> None:
        program = """
rings = [Node(number) for number in range(1000)]
print(gc.collect())
del rings[::2]
print(gc.collect(), where()[3])
print(gc.collect())
del rings
print(gc.collect(1), gc.collect(0), gc.collect(2))
"""
        as_python(program, tmp_path)

    def test_run_finalizers_in_the_same_order(self, tmp_path: Path) -> None:
        program = """
order = []
class Told(Node):
    def __del__(self):
        order.append(self.number)
        print(gc.collect() if self.number % 100 == 0 else "", end=" ")
rings = [Told(number) for number in range(500)]
gc.collect()
for one, other in zip(rings, reversed(rings)):
    one.other = other
del rings, one, other
print(gc.collect(), order)
"""
        as_python(program, tmp_path)

    def test_bring_back_what_a_finalizer_keeps(self, tmp_path: Path) -> None:
        program = """
back = []
class Stubborn(Node):
    def __del__(self):
        back.append(self)
rings = [Stubborn(number) for number in range(100)]
gc.collect()
del rings
print(gc.collect(), len(back), where())
back.clear()
print(gc.collect(), len(back), where())
"""
        as_python(program, tmp_path)

    def test_tell_callbacks_the_same(self, tmp_path: Path) -> None:
        program = """
told = []
def callback(phase, info):
    told.append((phase, info["generation"], info["collected"], info["uncollectable"]))
rings = [Node() for _ in range(100)]
gc.collect()
gc.callbacks.append(callback)
del rings
gc.collect()
gc.collect()
gc.callbacks.remove(callback)
print(told)
"""
        as_python(program, tmp_path)

    def test_save_what_they_find_where_they_are_to(self, tmp_path: Path) -> None:
        program = """
rings = [Node(number) for number in range(100)]
gc.collect()
del rings
gc.set_debug(gc.DEBUG_SAVEALL)
print(gc.collect())
gc.set_debug(0)
print([one.number for one in gc.garbage if type(one) is Node])
gc.garbage.clear()
print(gc.collect(), where())
"""
        as_python(program, tmp_path)

    def test_in_a_thread(self, tmp_path: Path) -> None:
        program = """
rings = [Node() for _ in range(100)]
gc.collect()
del rings
def work():
    print(gc.collect(), where())
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
        as_python(program, tmp_path)


FUNCTIONS = ["collect", "get_objects", "get_referrers", "get_freeze_count", "freeze", "unfreeze"]


class TestTheFunctionsThemselves:
    def test_wrong_arguments_are_refused_as_by_cpython(self, tmp_path: Path) -> None:
        program = """
CALLS = [
    "gc.get_objects(generation=3)", "gc.get_objects(generation=-1)", "gc.get_objects('0')",
    "gc.get_objects(0, 1)", "gc.get_objects(gen=0)", "gc.get_objects(generation=2**70)",
    "gc.get_objects(1.5)", "gc.get_objects(generation=None)",
    "gc.collect(3)", "gc.collect(-1)", "gc.collect('2')", "gc.collect(None)", "gc.collect(1, 2)",
    "gc.collect(gen=1)", "gc.collect(generation=2**40)", "gc.collect(2.0)",
    "gc.get_referrers(object=1)", "gc.get_referrers(a=1)",
    "gc.freeze(1)", "gc.freeze(a=1)", "gc.unfreeze(1)", "gc.get_freeze_count(1)",
]
for call in CALLS:
    try:
        print(call, type(eval(call)).__name__)
    except BaseException as error:
        print(call, type(error).__name__, error)
"""
        printed = as_python(program, tmp_path)
        assert printed.count("TypeError") > 10
        assert printed.count("ValueError") > 2

    def test_they_seem_the_same(self, tmp_path: Path) -> None:
        program = f"""
for name in {FUNCTIONS}:
    it = getattr(gc, name)
    try:
        signature = str(inspect.signature(it))
    except ValueError as error:
        signature = str(error)
    print(type(it), repr(it), it.__name__, it.__qualname__, it.__module__, it.__self__ is gc)
    print(it.__doc__, it.__text_signature__, signature)
    print(pickle.loads(pickle.dumps(it)) is it, inspect.isbuiltin(it), callable(it))
print(sorted(vars(gc)))
"""
        as_python(program, tmp_path)

    @pytest.mark.parametrize("policy", POLICIES)
    def test_references_from_before_answer_as_well(self, policy: str, tmp_path: Path) -> None:
        program = f"""
from gc import collect, get_freeze_count, get_objects, get_referrers
import gcctl
kept = [Node() for _ in range(100)]
def answers():
    found = sum(type(one) is Node for one in get_objects())
    referring = sum(type(one) is Node for one in get_referrers(Node))
    return found, referring, get_freeze_count() < 1000
print(answers(), collect())
gcctl.install({policy!r})
print(answers())
print(collect() < 200, answers())
gcctl.uninstall()
print(answers(), get_objects is gc.get_objects, collect is gc.collect)
"""
        answers = "(100, 100, True)"
        expected = f"{answers} 0\n{answers}\nTrue {answers}\n{answers} True True\n"
        assert run_program(BEGINNING + program, tmp_path) == expected

    @pytest.mark.parametrize("policy", POLICIES)
    def test_references_from_meanwhile_answer_afterwards(self, policy: str, tmp_path: Path) -> None:
        program = f"""
import gcctl
kept = [Node() for _ in range(100)]
gcctl.install({policy!r})
from gc import collect, get_freeze_count, get_objects, get_referrers, freeze, unfreeze
gcctl.uninstall()
print(sum(type(one) is Node for one in get_objects()), collect() < 200)
freeze()
print(get_freeze_count() > 100)
unfreeze()
print(sum(type(one) is Node for one in get_referrers(Node)))
"""
        assert run_program(BEGINNING + program, tmp_path) == "100 True\nTrue\n100\n"

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_a_patch_of_the_program_is_left_alone(self, name: str, tmp_path: Path) -> None:
        program = f"""
import gcctl
original = gc.{name}
def patch(*arguments, **more):
    return original(*arguments, **more)
gcctl.install()
gc.{name} = patch
gcctl.uninstall()
print(gc.{name} is patch)
gc.{name} = original
gcctl.install()
gcctl.uninstall()
print(gc.{name} is original, gcctl.stats().faults)
"""
        assert run_program(BEGINNING + program, tmp_path) == "True\nTrue 0\n"

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_a_patch_from_before_is_left_alone(self, name: str, tmp_path: Path) -> None:
        program = f"""
import gcctl
original = gc.{name}
calls = []
def patch(*arguments, **more):
    calls.append(arguments)
    return original(*arguments, **more)
gc.{name} = patch
gcctl.install()
for _ in range(10):
    with gcctl.request():
        pass
gcctl.uninstall()
print(gc.{name} is patch, calls)
"""
        assert run_program(BEGINNING + program, tmp_path) == "True []\n"


PLUGINS = ("-p", "no:cacheprovider", "-p", "no:xdist")


def pytest_run(directory: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", *PLUGINS, "-q", "-W", "error", *options]
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    return done.returncode, done.stdout + done.stderr


class TestOtherTools:
    @pytest.mark.parametrize("options", [(), ("--gcctl",), ("--gcctl-policy=production",)])
    def test_a_leak_test_sees_a_leak(self, options: tuple[str, ...], tmp_path: Path) -> None:
        (tmp_path / "test_leak.py").write_text("""
import gc

class Connection:
    pass

CACHE = []

def handle():
    CACHE.append(Connection())

def test_no_connection_is_left():
    handle()
    gc.collect()
    assert [one for one in gc.get_objects() if isinstance(one, Connection)] == []

def test_no_connection_is_left_from_before():
    gc.collect()
    assert not any(isinstance(one, Connection) for one in gc.get_objects())
""")
        status, printed = pytest_run(tmp_path, "-p", "no:hypothesispytest", *options)
        assert status == 1, printed
        assert "2 failed" in printed

    @pytest.mark.parametrize("options", [(), ("--gcctl",), ("--gcctl-policy=production",)])
    def test_hypothesis_finds_that_a_generator_is_alive(
        self, options: tuple[str, ...], tmp_path: Path
    ) -> None:
        (tmp_path / "test_identity.py").write_text("""
import random
from hypothesis import given, register_random, strategies

SOURCE = random.Random(1)
register_random(SOURCE)

@given(strategies.integers())
def test_identity(number):
    assert number == number
""")
        status, printed = pytest_run(tmp_path, *options)
        assert status == 0, printed

    @pytest.mark.parametrize("policy", POLICIES)
    def test_hypothesis_finds_it_in_a_program(self, policy: str, tmp_path: Path) -> None:
        program = f"""
import random
import hypothesis
import gcctl
import warnings
warnings.simplefilter("error")
SOURCE = random.Random(1)
gcctl.install({policy!r})
hypothesis.register_random(SOURCE)
print("registered")
"""
        assert run_program(program, tmp_path) == "registered\n"
