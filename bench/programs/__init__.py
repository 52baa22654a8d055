"""Ordinary programs under `gcctl run`, against python itself. `samples/` has the programs."""
