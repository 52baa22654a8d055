"""The request boundary: counted, decided, timed. A compiled core, and its twin in Python.

May import _base.
"""
