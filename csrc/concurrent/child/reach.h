/* The second step: marks each object that can be reached from an object with references from
   outside. Objects that stay unmarked are unreachable. */
#ifndef GCCTL_REACH_H
#define GCCTL_REACH_H

#include "concurrent/child/heap.h"

/* Needs heap->outside. Returns a state of the answer. */
int gcctl_reach_mark(gcctl_heap *heap);

#endif
