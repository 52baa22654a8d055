"""Memory: how much is used, what limits it, what happens over the limit, when to replace a worker.

May import _base and _core.
"""
