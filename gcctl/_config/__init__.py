"""The configuration: its fields, the presets, and where each value comes from.

May import _interpreter and what that may import.
"""
