"""Small helpers for all other folders: errors, units, jitter, callbacks in a thread.

Imports nothing of gcctl.
"""
