/* Which blocks of Python's object allocator were freed in a window of time: exactly, a bit each.

   One per process, as the allocator is. Noting is safe in several threads at once (interpreters
   that have a GIL of their own share the allocator's functions); opening and closing are not. */
#ifndef GCCTL_FREED_H
#define GCCTL_FREED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Begins a window in which nothing has been freed. GCCTL_ERR where there is no memory for it. */
int gcctl_freed_open(void);

/* Ends it and forgets what was noted. Nobody may be noting. */
void gcctl_freed_close(void);

/* Ends it, and leaves the memory to those who may be noting at this moment. */
void gcctl_freed_give_up(void);

/* Is nothing noted any more that is freed? (The system had no memory for a note.) */
bool gcctl_freed_is_incomplete(void);

/* Was a block that begins there freed since the window was opened? True where none is open. */
bool gcctl_freed_has(uintptr_t block);

extern atomic_bool gcctl_freed_is_open;

void gcctl_freed_add(uintptr_t block);

/* To be called for each block that is freed. Costs a load while no window is open. */
static inline void gcctl_freed_note(const void *block) {
    if (atomic_load_explicit(&gcctl_freed_is_open, memory_order_relaxed)) {
        gcctl_freed_add((uintptr_t)block);
    }
}

#endif
