/* Which tracked objects are unreachable: the child's work, step by step. */
#ifndef GCCTL_UNREACHABLE_H
#define GCCTL_UNREACHABLE_H

#include "concurrent/child/heap.h"
#include "concurrent/shared/answer.h"

/* Writes all of the answer but its state. Returns the state that it is to get. Afterwards
   heap->objects has the unreachable objects alone. */
int gcctl_unreachable_find(gcctl_heap *heap, gcctl_answer *answer);

#endif
