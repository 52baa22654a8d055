/* Which blocks of Python's object allocator were freed since a moment: exactly, with a bit per
   block.

   There is one set of bits per process, since there is one allocator. Several threads may note
   blocks at once (interpreters with a GIL of their own share the allocator's functions). But only
   one thread may open or close, with the GIL. */
#ifndef GCCTL_FREED_BLOCKS_H
#define GCCTL_FREED_BLOCKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts to note, with no block freed yet. Returns GCCTL_ERR if there is no memory for it. */
int gcctl_freed_blocks_open(void);

/* Stops and forgets what was noted. No thread may be noting a block. */
void gcctl_freed_blocks_close(void);

/* Stops, but leaves the memory to threads that may be noting a block right now. */
void gcctl_freed_blocks_give_up(void);

/* Were notes lost, because the system had no memory for them? */
bool gcctl_freed_blocks_is_incomplete(void);

/* Was the block that begins at this address freed since the opening? True if it is not open. */
bool gcctl_freed_blocks_has(uintptr_t block);

extern atomic_bool gcctl_freed_blocks_is_open;

void gcctl_freed_blocks_add(uintptr_t block);

/* To be called for each block before it is freed. Costs one load while it is not open. */
static inline void gcctl_freed_blocks_note(const void *block) {
    if (atomic_load_explicit(&gcctl_freed_blocks_is_open, memory_order_relaxed)) {
        gcctl_freed_blocks_add((uintptr_t)block);
    }
}

#endif
