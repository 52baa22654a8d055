/* The first step: counts the references to each object that come from outside the set. They are in
   variables, in C code, and in untracked objects. */
#ifndef GCCTL_REFERENCES_H
#define GCCTL_REFERENCES_H

#include "concurrent/child/heap.h"

/* Makes heap->outside. Returns a state of the answer. */
int gcctl_references_count(gcctl_heap *heap);

#endif
