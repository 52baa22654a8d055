"""The one core and the one memory reader of this process, and the boundary as services call it.

May import _base, _core and _memory.
"""
