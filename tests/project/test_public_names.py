"""Public classes say where users find them: in `gcctl`, not in the private module that has them."""

from __future__ import annotations

import copy
import pickle
import sys
import traceback
import typing
from typing import Any

import pytest

import gcctl

CLASSES = [cls for name in gcctl.__all__ if isinstance(cls := getattr(gcctl, name), type)]

RECORDS = [
    gcctl.Stats(),
    gcctl.CollectionStats(),
    gcctl.MinuteStats(),
    gcctl.AlertCounts(),
    gcctl.Alert("high_memory", 1, "text"),
    gcctl.AutoStats(),
    gcctl.ByReason(),
    gcctl.ConcurrentStats(),
    gcctl.MemorySample(1, 2),
    gcctl.RecycleAdvice("rss", "text"),
    gcctl.ConfigError("text"),
    gcctl.GcctlError("text"),
    gcctl.Config(policy="off", max_pause="3ms"),
    gcctl.Stats(
        memory_samples=(gcctl.MemorySample(1, 2),),
        alerts=(gcctl.Alert("high_memory", 1, "text"),),
        recycle_advice=gcctl.RecycleAdvice("rss", "text"),
        auto=gcctl.AutoStats(),
    ),
]


def name(thing: object) -> str:
    return (thing if isinstance(thing, type) else type(thing)).__name__


@pytest.mark.parametrize("cls", CLASSES, ids=name)
def test_every_public_class_is_in_gcctl(cls: type) -> None:
    assert cls.__module__ == "gcctl"
    assert getattr(gcctl, cls.__qualname__) is cls
    assert repr(cls) == f"<class 'gcctl.{cls.__name__}'>"


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_records_are_pickled_under_public_names(record: Any, protocol: int) -> None:
    pickled = pickle.dumps(record, protocol)
    assert b"gcctl" in pickled
    assert b"gcctl._" not in pickled, "the name of a private module"
    found = pickle.loads(pickled)
    assert type(found) is type(record)
    if isinstance(record, Exception):
        assert found.args == record.args
    else:
        assert found == record


def test_what_an_installation_has_counted_is_pickled_and_copied() -> None:
    controller = gcctl.install("production", gen0_every=1)
    with gcctl.request():
        pass
    stats, events = controller.stats(), controller.events()
    for thing in (stats, events, controller.config):
        pickled = pickle.dumps(thing)
        assert b"gcctl._" not in pickled
        assert pickle.loads(pickled) == thing
        assert copy.deepcopy(thing) == thing


def test_a_traceback_names_the_public_class() -> None:
    with pytest.raises(gcctl.ConfigError) as caught:
        gcctl.Config(max_pause="never")
    last = traceback.format_exception_only(caught.value)[-1]
    assert last.startswith("gcctl.ConfigError: max_pause: ")


@pytest.mark.parametrize("cls", CLASSES, ids=name)
def test_type_hints_are_found_where_the_class_is_defined(cls: type) -> None:
    if sys.version_info >= (3, 14):
        pytest.skip("names are looked up in gcctl, which has not all of them")
    hints = typing.get_type_hints(cls)
    assert not any(isinstance(hint, str | typing.ForwardRef) for hint in hints.values())
    declared = {name for base in cls.__mro__ for name in vars(base).get("__annotations__", ())}
    assert hints.keys() == declared


def test_type_hints_are_the_classes_that_users_know() -> None:
    hints = typing.get_type_hints(gcctl.Stats)
    assert hints["alert_counts"] is gcctl.AlertCounts
    assert (
        hints["generations"]
        == tuple[gcctl.CollectionStats, gcctl.CollectionStats, gcctl.CollectionStats]
    )
    assert hints["policy"] == str | None
