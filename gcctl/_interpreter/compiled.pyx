# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
"""What reaches into CPython. It has no twin in Python: where this module was not built, gcctl does
without it. The parts are included below:

    compiled_frozen.pxi       what gcctl has frozen, apart from what others have
    compiled_stand_ins.pxi    stand-ins for functions of the module gc
    compiled_asker.pxi        the main thread is asked to do something at a time

Thread safety: every function holds the GIL from its first line to its last.
"""

import gc

cimport cython
from cpython.ref cimport PyObject

from gcctl._interpreter.csrc cimport gcctl_gc_calls_module

# How the C functions of builtins take their arguments.
ctypedef object (*with_keywords)(PyObject *module, PyObject *const *arguments, Py_ssize_t number,
                                 PyObject *names)
ctypedef object (*with_arguments)(PyObject *module, PyObject *const *arguments, Py_ssize_t number)
ctypedef object (*with_object)(PyObject *module, PyObject *argument)

# Compared with INTERFACE of gcctl/_base/installed_files.py when this module is imported.
INTERFACE = 1

cdef object fresh_gc = gcctl_gc_calls_module()

include "compiled_frozen.pxi"
include "compiled_stand_ins.pxi"
include "compiled_asker.pxi"
