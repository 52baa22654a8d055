# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""What reaches into CPython. There is no twin in Python: where this module was not built, gcctl does
without it.

Thread safety: every function holds the GIL from its first line to its last.
"""

# Compared with INTERFACE of gcctl/_base/installed_files.py when this module is imported.
INTERFACE = 1

include "compiled_asker.pxi"
