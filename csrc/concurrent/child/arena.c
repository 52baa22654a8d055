#include "concurrent/child/arena.h"

#include <Python.h>
#include <stddef.h>

#include "concurrent/shared/pages.h"

enum { ARENA_BYTES = 1 << 26, ALIGNMENT = 16 };

static char *next_block; /* used by the child alone, like all here */
static size_t left;

static void *arena_malloc(void *context, size_t size) {
    (void)context;
    if (size >= ARENA_BYTES) {
        return NULL;
    }
    size = (size + ALIGNMENT) &
           ~(size_t)(ALIGNMENT -
                     1); /* at least one byte, so that each block has an address of its own */
    if (size > left) {
        return NULL;
    }
    char *block = next_block;
    next_block += size;
    left -= size;
    return block;
}

static void *arena_calloc(void *context, size_t count, size_t size) {
    return count == 0 || size <= left / count ? arena_malloc(context, count * size) : NULL;
}

/* Refuses to resize: the size of the old block is not known, so it cannot be copied. */
static void *arena_realloc(void *context, void *block, size_t size) {
    return block == NULL ? arena_malloc(context, size) : NULL;
}

static void arena_free(void *context, void *block) {
    (void)context;
    (void)block;
}

void gcctl_arena_use(void) {
    next_block = gcctl_pages_map(ARENA_BYTES);
    left = next_block == NULL ? 0 : ARENA_BYTES;
    PyMemAllocatorEx arena = {NULL, arena_malloc, arena_calloc, arena_realloc, arena_free};
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &arena);
    PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &arena);
    PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &arena);
}
