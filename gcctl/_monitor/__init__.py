"""Statistics, alerts and reports.

May import _auto and what that may import.
"""
