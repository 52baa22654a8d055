/* Our functions around Python's object allocator. They note each block that is freed.

   Other code (tracemalloc) may wrap the allocator after us. It then keeps our functions, calls
   them, or puts them back at any later time. So our functions stay valid for ever and pass calls
   through. They are taken out only while no other wrapper is around them. All functions here need
   the GIL. */
#ifndef GCCTL_ALLOCATOR_HOOK_H
#define GCCTL_ALLOCATOR_HOOK_H

#include <stdbool.h>

/* Puts our functions outermost. Returns GCCTL_ERR if there were too many different allocators. */
int gcctl_allocator_hook_attach(void);

/* Does each call to the allocator come to our functions first? */
bool gcctl_allocator_hook_is_outermost(void);

/* Takes our functions out if they are outermost. */
void gcctl_allocator_hook_detach(void);

#endif
