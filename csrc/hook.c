#include "hook.h"

#include <Python.h>
#include <stddef.h>

#include "freed.h"
#include "status.h"

/* An allocator of somebody's and our functions around it. What is wrapped is written once and never
   again, for somebody may have kept our functions: there are as many as there were different
   allocators below us, which is one, and another under tracemalloc.

   Each has functions of its own, so that the context can stay the wrapped one's: then its malloc and
   calloc need not go through us, and a function called with the context of the other struct, by a
   thread that reads while we write, finds its own all the same. */
#define WRAPPER(number)                                                                            \
    static PyMemAllocatorEx wrapped_##number;                                                      \
    static void *realloc_##number(void *context, void *block, size_t size) {                       \
        gcctl_freed_note(block); /* also where it then stays in its place */                       \
        return wrapped_##number.realloc(context, block, size);                                     \
    }                                                                                              \
    static void free_##number(void *context, void *block) {                                        \
        gcctl_freed_note(block);                                                                   \
        wrapped_##number.free(context, block);                                                     \
    }

WRAPPER(0)
WRAPPER(1)
WRAPPER(2)
WRAPPER(3)

enum { WRAPPERS = 4 };

static const struct {
    PyMemAllocatorEx *wrapped; /* its free is NULL: not in use yet */
    void *(*realloc)(void *, void *, size_t);
    void (*free)(void *, void *);
} wrapper[WRAPPERS] = {
    {&wrapped_0, realloc_0, free_0},
    {&wrapped_1, realloc_1, free_1},
    {&wrapped_2, realloc_2, free_2},
    {&wrapped_3, realloc_3, free_3},
};

/* The number of the wrapper that is outermost; WRAPPERS: none is. */
static int outermost(const PyMemAllocatorEx *found) {
    int number = 0;
    while (number < WRAPPERS && found->free != wrapper[number].free) {
        number++;
    }
    return number;
}

bool gcctl_hook_is_outermost(void) {
    PyMemAllocatorEx found;
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &found);
    return outermost(&found) < WRAPPERS;
}

static bool is_same(const PyMemAllocatorEx *one, const PyMemAllocatorEx *other) {
    return one->ctx == other->ctx && one->malloc == other->malloc && one->calloc == other->calloc &&
           one->realloc == other->realloc && one->free == other->free;
}

int gcctl_hook_attach(void) {
    PyMemAllocatorEx found;
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &found);
    if (outermost(&found) < WRAPPERS) { /* buried when it should have been taken out, and back */
        return GCCTL_OK;
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

void gcctl_hook_detach(void) {
    PyMemAllocatorEx found;
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &found);
    int number = outermost(&found);
    if (number < WRAPPERS) {
        PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, wrapper[number].wrapped);
    }
}
