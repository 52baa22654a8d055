"""What each scenario of the demo gives to the command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcctl.cli._demo.child import Command
from gcctl.cli._demo.progress import Show
from gcctl.cli._demo.table import Row

Settings = Mapping[str, Any]
"""Values of a scenario's options, under their names without the dashes."""


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    help: str
    options: Mapping[str, Mapping[str, Any]]
    """Options of this scenario alone: the flag of each, and its arguments for argparse."""
    defaults: Settings
    quick: Settings
    """With `--quick`, these replace defaults."""
    measure: Callable[[Settings, Command, Show], list[Row]]
    """Raises TrialError when a measurement cannot be made."""
    render: Callable[[Sequence[Row]], str]
