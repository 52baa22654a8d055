"""The policy `auto`: its rules, which decide from numbers alone, and the process they are for.

May import _concurrent and what that may import.
"""
