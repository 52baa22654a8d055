/* The parent's part: objects that the child calls unreachable are moved to the youngest generation,
   where CPython's own collector decides about them. */
#ifndef GCCTL_SWEEP_H
#define GCCTL_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const uint64_t *next; /* in gcctl_answer's candidate[] */
    const uint64_t *end;
    int64_t moved;   /* objects, so far */
    int64_t dropped; /* whose component is not whole any more */
} gcctl_sweep;

/* Goes through whole components until it has seen `enough` objects or there are no more. Returns the
   number of objects moved. Runs no Python code. The GIL must be held and no collection be running.
 */
int64_t gcctl_sweep_move(gcctl_sweep *sweep, int64_t enough);

/* Is there a live tracked object at this address, which a child saw when the window was opened? */
bool gcctl_sweep_is_alive(uint64_t address);

#endif
