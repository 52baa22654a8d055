/* A map from addresses to notes, for all of the address space.

   It has two levels: a root with one pointer per GiB, and a leaf for each GiB with notes in it.
   Root and leaves are pages of their own, of which untouched ones cost nothing. Nothing is taken
   from malloc(): the child must not call it, and the allocator hook cannot. */
#ifndef GCCTL_ADDRESS_MAP_H
#define GCCTL_ADDRESS_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GCCTL_LEAF_SHIFT = 30,     /* a leaf is for 1 GiB */
    GCCTL_ADDRESS_BITS = 48,   /* user space of x86-64 with four levels of pages, and of aarch64 */
    GCCTL_ALIGNMENT_SHIFT = 4, /* blocks of Python's allocator, and so objects, begin at 16 bytes */
    GCCTL_LEAVES = 1024
};

typedef struct {
    _Atomic(void *) *root; /* owned; NULL: not open */
    size_t leaf_bytes;
    atomic_int leaves;                  /* made, or being made */
    _Atomic(void *) leaf[GCCTL_LEAVES]; /* owned; NULL while it is being made */
    size_t gib[GCCTL_LEAVES];           /* address >> GCCTL_LEAF_SHIFT, per leaf */
    atomic_bool incomplete;             /* a leaf could not be made: notes were lost */
} gcctl_address_map;

/* Returns GCCTL_ERR if the system gives no memory. */
int gcctl_address_map_open(gcctl_address_map *map, size_t leaf_bytes);
void gcctl_address_map_close(gcctl_address_map *map);

/* Returns the leaf for an address, and makes it if there is none yet. If it cannot be made, returns
   NULL and sets `incomplete`. Several threads may call this at once. */
void *gcctl_address_map_make_leaf(gcctl_address_map *map, uintptr_t address);

/* The number of GiB in the address space. */
static inline size_t gcctl_address_map_gibs(void) {
    return (size_t)1 << (GCCTL_ADDRESS_BITS - GCCTL_LEAF_SHIFT);
}

/* Returns the leaf for an address; NULL if nothing was noted near it. */
static inline void *gcctl_address_map_leaf(const gcctl_address_map *map, uintptr_t address) {
    uintptr_t gib = address >> GCCTL_LEAF_SHIFT;
    if (gib >= gcctl_address_map_gibs()) {
        return NULL;
    }
    return atomic_load_explicit(&map->root[gib], memory_order_acquire);
}

/* Returns the lowest GiB, from this one up, that has a leaf; gcctl_address_map_gibs() if there is
   none. Must not run while leaves are being made. */
size_t gcctl_address_map_next(const gcctl_address_map *map, size_t gib);

#endif
