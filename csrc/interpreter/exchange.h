/* The C function behind a builtin, exchanged in place.

   A builtin function calls what its PyMethodDef says. Exchanging that reaches every reference to the
   builtin, also those taken earlier (`from gc import collect`), and leaves the builtin itself what
   it is: its identity, name, signature and documentation. */
#ifndef GCCTL_EXCHANGE_H
#define GCCTL_EXCHANGE_H

#include <Python.h>
#include <stdbool.h>

typedef struct {
    PyMethodDef *method;  /* of the builtin. Static in its module. */
    PyCFunction original; /* what it called before */
    PyCFunction ours;
    bool made; /* ours is called: by the builtin, or by what somebody has put in its place since */
} gcctl_exchange;

/* Has `builtin` call `ours`, which must take the arguments that `flags` (METH_…) say. Returns false
   if it is no builtin that takes those. */
bool gcctl_exchange_make(gcctl_exchange *exchange, PyObject *builtin, PyCFunction ours, int flags);

/* Puts the original back. Returns false if somebody else has exchanged it since: then that is left,
   and `ours` may be called for ever. */
bool gcctl_exchange_undo(gcctl_exchange *exchange);

#endif
