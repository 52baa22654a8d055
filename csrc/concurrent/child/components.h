/* The third step: unreachable objects that refer to each other are put into one component.

   CPython frees an unreachable object only if the same collection also has all objects that refer
   to it. So connected objects must come to it together. */
#ifndef GCCTL_COMPONENTS_H
#define GCCTL_COMPONENTS_H

#include "concurrent/child/heap.h"
#include "concurrent/shared/answer.h"

/* Writes the unreachable objects to the answer, component after component, and their types. They
   are all that heap->objects still has. Returns a state of the answer. */
int gcctl_components_write(gcctl_heap *heap, gcctl_answer *answer);

#endif
