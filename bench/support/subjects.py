"""The names of what is measured, as results and tables have them, where several benchmarks do."""

C = "gcctl, C core"
CPYTHON = "CPython alone"
