"""What belongs to CPython and to everybody: its collector, settings, freeze, forks.

May import _process and what that may import.
"""
