/* The C functions behind gc.collect(), gc.freeze() and gc.unfreeze(), called directly. Calls of the
   builtins are those of the program: while gcctl is installed, a stand-in counts them. */
#ifndef GCCTL_GC_CALLS_H
#define GCCTL_GC_CALLS_H

#include <Python.h>

/* A fresh copy of the module gc: whatever the program has put into the module is not in it. Its
   builtins share their C functions with those of the module. Returns a new reference, or NULL with an
   exception set. */
PyObject *gcctl_gc_calls_module(void);

/* Finds them. Returns 0; -1 with an exception set. To be called once, before any stand-in is made. */
int gcctl_gc_calls_find(void);

/* As gc.collect(generation). Returns a new reference, or NULL with an exception set. */
PyObject *gcctl_gc_calls_collect(int generation);

/* As gc.freeze() and gc.unfreeze(). Return what these do. */
PyObject *gcctl_gc_calls_freeze(void);
PyObject *gcctl_gc_calls_unfreeze(void);

#endif
