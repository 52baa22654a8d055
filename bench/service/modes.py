"""The ways of collecting garbage that are compared. Each begins when the service is loaded."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, NamedTuple

import gcctl

AUTOMATIC = "automatic"
AUTO = "auto"

Begin = Callable[[dict[str, Any]], gcctl.Controller | None]
"""Takes further settings for gcctl. Returns the controller where gcctl is installed."""


def _automatic(settings: dict[str, Any]) -> None:
    pass


def _off(settings: dict[str, Any]) -> None:
    gc.disable()


def _frozen(settings: dict[str, Any]) -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _source(settings: dict[str, Any]) -> gcctl.Controller:
    return gcctl.install("instagram", **settings)


def _young(settings: dict[str, Any]) -> gcctl.Controller:
    return gcctl.install("instagram", **YOUNG_ONLY, **settings)


def _auto(settings: dict[str, Any]) -> gcctl.Controller:
    return gcctl.install(AUTO, **settings)


YOUNG_ONLY: dict[str, Any] = {"gen0_every": 1, "gen1_every": None, "gen2_every": None}


class Mode(NamedTuple):
    what: str
    begin: Begin
    policy: str = ""
    """The policy of gcctl that this mode needs; "": none."""


MODES = {
    AUTOMATIC: Mode("CPython as it is", _automatic),
    "source": Mode("gcctl, the source's schedule", _source, "instagram"),
    "young": Mode("gcctl, generation 0 after each response", _young, "instagram"),
    "off": Mode("no collection at all", _off),
    "frozen": Mode("frozen after loading, thresholds raised", _frozen),
    AUTO: Mode("gcctl, policy auto", _auto, AUTO),
}


def missing(mode: str) -> str:
    """Why the gcctl that is installed does not have this mode; "": it has it."""
    policy = MODES[mode].policy
    try:
        gcctl.Config(policy=policy or "off")
    except gcctl.GcctlError as error:
        return str(error)
    return ""
