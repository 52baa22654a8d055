"""Latency by percentile, a panel for each case and a line for each mode."""

from __future__ import annotations

from typing import Any

from bench.support.targets import NS_PER_MS

TICKS = (0.5, 0.1, 0.01, 0.001)


def plot(results: dict[str, Any], path: str) -> None:
    import matplotlib  # only where a plot is wanted

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, NullLocator

    cases = results["cases"]
    figure, axes = pyplot.subplots(
        len(cases), figsize=(8, 4 * len(cases)), squeeze=False, layout="constrained"
    )
    for (axis,), case in zip(axes, cases, strict=True):
        for mode, row in case["modes"].items():
            beyond, latencies = zip(*row["curve"], strict=True)
            axis.plot(beyond, [ns / NS_PER_MS for ns in latencies], label=mode)
        axis.set_xscale("log")
        axis.invert_xaxis()
        shares = [share for share in TICKS if share >= axis.get_xlim()[1]]
        axis.set_xticks(shares, [f"P{100 * (1 - share):g}" for share in shares])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(FuncFormatter(in_digits))
        axis.yaxis.set_minor_formatter(FuncFormatter(in_digits))
        axis.set_ylabel("ms since due")
        axis.set_title(f"{case['case']['name']}, CPython {results['python']}")
        axis.grid(alpha=0.3)
        axis.legend(loc="upper left")
    figure.savefig(path)
    pyplot.close(figure)


def in_digits(ms: float, position: int) -> str:
    return f"{ms:,g}"
