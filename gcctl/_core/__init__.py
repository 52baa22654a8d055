"""The request boundary: what is due at it, and collections run, timed and recorded. Both twins.

May import _base.
"""
