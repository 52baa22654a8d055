/* A queue of entries that are being fetched into the cache. An entry comes out a fixed number of
   turns after it was put in. By then the fetch is done.

   On a heap of some age nearly each reference leads to memory that is in no cache. */
#ifndef GCCTL_PREFETCH_H
#define GCCTL_PREFETCH_H

#include <stdint.h>

enum { GCCTL_PREFETCH_TURNS = 16 };

typedef struct {
    uintptr_t entry[GCCTL_PREFETCH_TURNS]; /* 0: none */
    unsigned turn;
} gcctl_prefetch;

/* Puts an entry in and takes the oldest one out. */
static inline uintptr_t gcctl_prefetch_exchange(gcctl_prefetch *queue, uintptr_t entry) {
    uintptr_t *position = &queue->entry[queue->turn++ % GCCTL_PREFETCH_TURNS];
    uintptr_t oldest = *position;
    *position = entry;
    return oldest;
}

#endif
