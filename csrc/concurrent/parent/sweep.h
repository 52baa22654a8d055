/* The parent's work: objects that the child found unreachable are moved to the youngest generation.
   There CPython's own collector decides about them. */
#ifndef GCCTL_SWEEP_H
#define GCCTL_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const uint64_t *next; /* in gcctl_answer's candidate[] */
    const uint64_t *end;
    int64_t moved;   /* objects, so far */
    int64_t dropped; /* objects of components of which an object was freed since */
} gcctl_sweep;

/* Moves whole components, until it has gone through `enough` objects or through all. Returns the
   number of objects moved. Runs no Python code. Needs the GIL, and no collection may be running. */
int64_t gcctl_sweep_move(gcctl_sweep *sweep, int64_t enough);

/* Is the object that the child saw at this address still alive and tracked? */
bool gcctl_sweep_is_alive(uint64_t candidate);

#endif
