"""Tables of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.support.targets import Target


def table(head: Sequence[str], body: Iterable[Sequence[str]], texts: int = 2) -> str:
    """Columns as wide as they need to be. The first ones are texts, to the left; the others are
    numbers, to the right."""
    lines = [head, *body]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  "
        + "  ".join(
            cell.ljust(width) if column < texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def targets(found: list[Target], *, quick: bool) -> str:
    body = []
    for target in found:
        verdict = "reached" if target.reached else "NOT REACHED"
        if quick and not target.quick:
            verdict = "not judged (--quick)"
        sign = "<=" if target.at_most else ">="
        limit = f"{sign} {target.limit:g} {target.unit}"
        body.append((target.name, verdict, f"{target.value:.2f} {target.unit}", limit))
    return f"Targets\n{table(('target', 'verdict', 'measured', 'wanted'), body)}"
