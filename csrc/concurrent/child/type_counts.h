/* Counts the unreachable objects of each type, for the answer. */
#ifndef GCCTL_TYPE_COUNTS_H
#define GCCTL_TYPE_COUNTS_H

#include <Python.h>

#include "concurrent/shared/answer.h"

/* Counts an object. If too many different types were seen before, it counts as untyped. */
void gcctl_type_counts_add(PyObject *object, gcctl_answer *answer);

/* Writes the types with the most objects to the answer. Objects of all others count as untyped. To
   be called once, at the end. */
void gcctl_type_counts_write(gcctl_answer *answer);

#endif
