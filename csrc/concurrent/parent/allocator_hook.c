#include "concurrent/parent/allocator_hook.h"

#include <Python.h>
#include <stddef.h>

#include "concurrent/parent/freed_blocks.h"
#include "status.h"

/* A wrapper is a set of our functions around one allocator. Other code may have kept these
   functions, so the allocator that they wrap is written once and never changed. Each different
   allocator gets a wrapper of its own. Usually there is one allocator, and a second one under
   tracemalloc.

   Each wrapper has functions of its own, and the context stays that of the wrapped allocator. So
   malloc and calloc need not go through us. And a thread may read the struct while it is written:
   it then calls an old function with the new context, or the reverse, but the contexts are the
   same. */
#define WRAPPER(number)                                                                            \
    static PyMemAllocatorEx wrapped_##number;                                                      \
    static void *realloc_##number(void *context, void *block, size_t size) {                       \
        gcctl_freed_blocks_note(block); /* even if it then stays at its address */                 \
        return wrapped_##number.realloc(context, block, size);                                     \
    }                                                                                              \
    static void free_##number(void *context, void *block) {                                        \
        gcctl_freed_blocks_note(block);                                                            \
        wrapped_##number.free(context, block);                                                     \
    }

WRAPPER(0)
WRAPPER(1)
WRAPPER(2)
WRAPPER(3)

enum { WRAPPERS = 4 };

static const struct {
    PyMemAllocatorEx *wrapped; /* its `free` is NULL: this wrapper is not in use */
    void *(*realloc)(void *, void *, size_t);
    void (*free)(void *, void *);
} wrapper[WRAPPERS] = {
    {&wrapped_0, realloc_0, free_0},
    {&wrapped_1, realloc_1, free_1},
    {&wrapped_2, realloc_2, free_2},
    {&wrapped_3, realloc_3, free_3},
};

/* Returns the number of the outermost wrapper; WRAPPERS if none of ours is outermost. */
static int outermost(const PyMemAllocatorEx *found) {
    int number = 0;
    while (number < WRAPPERS && found->free != wrapper[number].free) {
        number++;
    }
    return number;
}

bool gcctl_allocator_hook_is_outermost(void) {
    PyMemAllocatorEx found;
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &found);
    return outermost(&found) < WRAPPERS;
}

static bool is_same(const PyMemAllocatorEx *one, const PyMemAllocatorEx *other) {
    return one->ctx == other->ctx && one->malloc == other->malloc && one->calloc == other->calloc &&
           one->realloc == other->realloc && one->free == other->free;
}

int gcctl_allocator_hook_attach(void) {
    PyMemAllocatorEx found;
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &found);
    if (outermost(&found) < WRAPPERS) {
        return GCCTL_OK; /* another wrapper was around it at the last detach, and has gone since */
    }
    int number = 0;
    while (number < WRAPPERS && wrapper[number].wrapped->free != NULL &&
           !is_same(wrapper[number].wrapped, &found)) {
        number++;
    }
    if (number == WRAPPERS) {
        return GCCTL_ERR;
    }
    if (wrapper[number].wrapped->free == NULL) {
        *wrapper[number].wrapped = found;
    }
    PyMemAllocatorEx ours = found;
    ours.realloc = wrapper[number].realloc;
    ours.free = wrapper[number].free;
    PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &ours);
    return GCCTL_OK;
}

void gcctl_allocator_hook_detach(void) {
    PyMemAllocatorEx found;
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &found);
    int number = outermost(&found);
    if (number < WRAPPERS) {
        PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, wrapper[number].wrapped);
    }
}
