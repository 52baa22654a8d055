"""What several benchmarks use: processes, heaps, figures, tables, targets, results."""
