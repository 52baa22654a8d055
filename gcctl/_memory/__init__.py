"""Memory: what is used, what the limit is, what is done over it, when a worker is replaced.

May import _base and _core.
"""
