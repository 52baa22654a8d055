"""Small helpers that anybody may use: errors, units, jitter, callbacks in a thread.

Imports nothing of gcctl.
"""
