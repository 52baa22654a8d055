"""Public classes carry the name under which users find them: `gcctl.Stats`."""

from __future__ import annotations

import sys


def public(cls: type) -> type:
    """A class decorator: the class says that it is in `gcctl`. Put it above all others.

    Reprs, tracebacks, pickles and help() then show `gcctl.Stats`, wherever the class is defined. So
    modules can be moved, and pickles can still be read. `gcctl` must export the class.
    """
    if sys.version_info >= (3, 14):  # the module of ForwardRef imports ast there, as much as gcctl
        cls.__module__ = "gcctl"
        return cls
    defined_in = cls.__module__
    # Not inspect.get_annotations(): importing inspect costs as much as all of gcctl.
    annotations = cls.__dict__.get("__annotations__", {})  # noqa: RUF063
    if any(type(annotation) is str for annotation in annotations.values()):
        _tie_to(defined_in, annotations)
    cls.__module__ = "gcctl"
    return cls


def _tie_to(module: str, annotations: dict[str, object]) -> None:
    """Have typing.get_type_hints() look names up in `module`, not in the module that we pretend."""
    from typing import ForwardRef  # for classes with annotations only

    for name, annotation in annotations.items():
        if type(annotation) is str:
            annotations[name] = ForwardRef(annotation, module=module, is_class=True)
