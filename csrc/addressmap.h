/* Something small about every piece of the address space that is in use.

   Two levels: a root with one pointer per GiB, and a leaf for each GiB something is noted of. Both
   are mappings of their own, so pages that nobody touches cost nothing, and nothing is asked of
   malloc: the child must not, and the hook around Python's allocator cannot. */
#ifndef GCCTL_ADDRESSMAP_H
#define GCCTL_ADDRESSMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GCCTL_LEAF_SHIFT = 30,     /* a leaf is for a GiB */
    GCCTL_ADDRESS_BITS = 48,   /* of user space: x86-64 with four levels, aarch64 */
    GCCTL_ALIGNMENT_SHIFT = 4, /* blocks of Python's allocator, and so objects, begin at 16 bytes */
    GCCTL_LEAVES = 1024
};

typedef struct {
    _Atomic(void *) *root; /* owned; NULL: not open */
    size_t leaf_bytes;
    atomic_int leaves;                  /* that were made, or are being made */
    _Atomic(void *) leaf[GCCTL_LEAVES]; /* owned; NULL while it is being made */
    size_t number[GCCTL_LEAVES];        /* of each one's GiB */
    atomic_bool incomplete; /* a leaf could not be had: what was to be noted there is lost */
} gcctl_addressmap;

/* GCCTL_ERR where the system gives no memory. */
int gcctl_addressmap_open(gcctl_addressmap *map, size_t leaf_bytes);
void gcctl_addressmap_close(gcctl_addressmap *map);

/* The leaf for an address, made where there is none yet; NULL (and `incomplete`) where it cannot
   be. Safe in several threads at once. */
void *gcctl_addressmap_make_leaf(gcctl_addressmap *map, uintptr_t address);

static inline size_t gcctl_addressmap_roots(void) {
    return (size_t)1 << (GCCTL_ADDRESS_BITS - GCCTL_LEAF_SHIFT);
}

/* The leaf for an address; NULL where nothing is noted. */
static inline void *gcctl_addressmap_leaf(const gcctl_addressmap *map, uintptr_t address) {
    uintptr_t number = address >> GCCTL_LEAF_SHIFT;
    if (number >= gcctl_addressmap_roots()) {
        return NULL;
    }
    return atomic_load_explicit(&map->root[number], memory_order_acquire);
}

/* The lowest GiB from `number` on that has a leaf; gcctl_addressmap_roots() where there is none. Not
   while leaves are being made. */
size_t gcctl_addressmap_next(const gcctl_addressmap *map, size_t number);

/* Memory of the system's own, zeroed, a page of which exists when it is touched; NULL: refused. */
void *gcctl_pages(size_t bytes);
void gcctl_pages_free(void *pages, size_t bytes);

#endif
