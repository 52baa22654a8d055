"""The policy `auto`: its rules, which are pure, and the process that it acts on.

May import _concurrent and what that may import.
"""
