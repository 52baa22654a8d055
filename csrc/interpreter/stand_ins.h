/* The outermost functions of the stand-ins.

   All interpreters of a process share the C functions behind builtins, and may run at the same time.
   So nothing of the main interpreter is touched here before it is known to be the one that calls:
   others get the original. */
#ifndef GCCTL_STAND_INS_H
#define GCCTL_STAND_INS_H

#include <Python.h>
#include <stdbool.h>

#include "interpreter/exchange.h"

typedef PyObject *(*gcctl_with_keywords)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
typedef PyObject *(*gcctl_with_arguments)(PyObject *, PyObject *const *, Py_ssize_t);

typedef struct {
    gcctl_exchange collect, get_objects;               /* with keywords */
    gcctl_exchange freeze, unfreeze, get_freeze_count; /* without arguments */
    gcctl_exchange get_referrers;                      /* either of the other two kinds */
} gcctl_stand_ins;

extern gcctl_stand_ins gcctl_stand_ins_made;

/* What is called in this interpreter while `on`. */
typedef struct {
    gcctl_with_keywords collect, get_objects;
    PyCFunction freeze, unfreeze, get_freeze_count, get_referrers;
    gcctl_with_arguments get_referrers_fast;
} gcctl_stand_ins_calls;

void gcctl_stand_ins_switch(bool on, const gcctl_stand_ins_calls *calls);

/* Exchanges the functions of this module `gc`. Returns the name of one that takes its arguments in
   another way than expected, and is left as it is; NULL: all were exchanged. */
const char *gcctl_stand_ins_make(PyObject *gc);

/* Returns false where somebody has exchanged one of them since. */
bool gcctl_stand_ins_undo(void);

#endif
