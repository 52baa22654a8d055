#include "hook.h"

#include <Python.h>

#include "freed.h"
#include "status.h"

/* What our functions pass calls on to; the context they are called with points there. Written once
   and never again, for somebody may have kept it: as many as there were different allocators below
   us, which is one, and another under tracemalloc. */
enum { WRAPPED = 16 };
static PyMemAllocatorEx wrapped[WRAPPED];
static int used;

static void *hook_malloc(void *context, size_t size) {
    PyMemAllocatorEx *next = context;
    return next->malloc(next->ctx, size);
}

static void *hook_calloc(void *context, size_t count, size_t size) {
    PyMemAllocatorEx *next = context;
    return next->calloc(next->ctx, count, size);
}

static void *hook_realloc(void *context, void *block, size_t size) {
    PyMemAllocatorEx *next = context;
    gcctl_freed_note(block); /* also where it then stays in its place */
    return next->realloc(next->ctx, block, size);
}

static void hook_free(void *context, void *block) {
    PyMemAllocatorEx *next = context;
    gcctl_freed_note(block);
    next->free(next->ctx, block);
}

static bool is_same(const PyMemAllocatorEx *one, const PyMemAllocatorEx *other) {
    return one->ctx == other->ctx && one->malloc == other->malloc && one->calloc == other->calloc &&
           one->realloc == other->realloc && one->free == other->free;
}

bool gcctl_hook_is_outermost(void) {
    PyMemAllocatorEx outermost;
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &outermost);
    return outermost.free == hook_free;
}

int gcctl_hook_attach(void) {
    PyMemAllocatorEx outermost;
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &outermost);
    if (outermost.free == hook_free) { /* buried when it should have been taken out, and back */
        return GCCTL_OK;
    }
    int place = 0;
    while (place < used && !is_same(&wrapped[place], &outermost)) {
        place++;
    }
    if (place == WRAPPED) {
        return GCCTL_ERR;
    }
    if (place == used) {
        wrapped[used++] = outermost;
    }
    PyMemAllocatorEx ours = {&wrapped[place], hook_malloc, hook_calloc, hook_realloc, hook_free};
    PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &ours);
    return GCCTL_OK;
}

void gcctl_hook_detach(void) {
    PyMemAllocatorEx outermost;
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &outermost);
    if (outermost.free == hook_free) {
        PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, outermost.ctx);
    }
}
