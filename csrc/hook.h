/* Our functions around Python's object allocator, which note what is freed.

   Whoever wraps the allocator after us (tracemalloc) keeps our functions and calls them, or puts
   them back, at any later time. So they stay valid for ever, passing calls through, and are only
   taken out while nobody has wrapped them. All functions need the GIL. */
#ifndef GCCTL_HOOK_H
#define GCCTL_HOOK_H

#include <stdbool.h>

/* Puts them outermost. GCCTL_ERR where too many different allocators were found beneath. */
int gcctl_hook_attach(void);

/* Does every call to the allocator come to us first? */
bool gcctl_hook_is_outermost(void);

/* Takes them out where they are outermost. */
void gcctl_hook_detach(void);

#endif
