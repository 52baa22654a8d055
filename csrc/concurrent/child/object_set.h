/* A set of objects by address. It numbers its members in the order of their addresses.

   Memory is cut into regions of 1 KiB, each with a bit per position where an object can begin. That
   takes 24 bytes per region: 2.3 % of the pages that hold tracked objects, and less than a hash
   table. A loop over the members goes through memory in order, however shuffled the collector's
   lists are. */
#ifndef GCCTL_OBJECT_SET_H
#define GCCTL_OBJECT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "concurrent/shared/address_map.h"

enum {
    GCCTL_REGION_SHIFT = GCCTL_ALIGNMENT_SHIFT + 6, /* 64 positions where objects can begin */
    GCCTL_REGION_BYTES = 1 << GCCTL_REGION_SHIFT,
    GCCTL_CHUNK_SHIFT = GCCTL_REGION_SHIFT + 7, /* 128 regions; they take 3 KiB */
    GCCTL_LEAF_REGIONS = 1 << (GCCTL_LEAF_SHIFT - GCCTL_REGION_SHIFT),
    GCCTL_LEAF_CHUNKS = 1 << (GCCTL_LEAF_SHIFT - GCCTL_CHUNK_SHIFT)
};

#define GCCTL_OBJECT_SET_MOST UINT32_MAX /* members */

typedef struct {
    uint64_t member; /* a bit per position: a member begins there */
    uint64_t marked; /* a bit per position: this member is marked */
    uint32_t first;  /* the number of the region's first member */
} gcctl_region;

typedef struct {
    uint64_t in_use[GCCTL_LEAF_CHUNKS / 64]; /* a bit per chunk: it has had members */
    gcctl_region region[GCCTL_LEAF_REGIONS];
} gcctl_leaf;

typedef struct {
    gcctl_address_map map; /* its leaves are gcctl_leaf */
    uint32_t members;
    int64_t chunks; /* in use */
} gcctl_object_set;

/* A member is found by its region and its bit in there. */
typedef struct {
    gcctl_region *region;
    uint64_t bit;
} gcctl_member;

/* Returns GCCTL_ERR if the system gives no memory. */
int gcctl_object_set_open(gcctl_object_set *set);

/* Returns GCCTL_ERR if no object can begin at this address, if it is a member already, or if there
   is no memory. */
int gcctl_object_set_add(gcctl_object_set *set, uintptr_t object);

/* Gives the members their numbers. To be called after the last one was added. */
void gcctl_object_set_assign_numbers(gcctl_object_set *set);

/* Takes the marked members out, and gives the others new numbers. */
void gcctl_object_set_keep_unmarked(gcctl_object_set *set);

/* Returns the first region in use at or after *address, and sets *address to its beginning; NULL if
   there is no more. The region may have no members. */
gcctl_region *gcctl_object_set_next_region(const gcctl_object_set *set, uintptr_t *address);

/* The address of the object at a bit of the region that begins at this address. */
static inline uintptr_t gcctl_object_set_address(uintptr_t region, unsigned bit) {
    return region + ((uintptr_t)bit << GCCTL_ALIGNMENT_SHIFT);
}

/* Returns the region of an address; NULL if there are no members near it. */
static inline gcctl_region *gcctl_object_set_region_of(const gcctl_object_set *set,
                                                       uintptr_t object) {
    gcctl_leaf *leaf = gcctl_address_map_leaf(&set->map, object);
    return leaf == NULL ? NULL : &leaf->region[(object >> GCCTL_REGION_SHIFT) % GCCTL_LEAF_REGIONS];
}

/* Writes the member at this address to *member. Returns false if there is none. */
static inline bool gcctl_object_set_find(const gcctl_object_set *set, uintptr_t object,
                                         gcctl_member *member) {
    member->region = gcctl_object_set_region_of(set, object);
    if (member->region == NULL) {
        return false;
    }
    member->bit = (uint64_t)1 << ((object >> GCCTL_ALIGNMENT_SHIFT) % 64);
    return member->region->member & member->bit;
}

static inline uint32_t gcctl_object_set_number_of(const gcctl_member *member) {
    uint64_t before = member->region->member & (member->bit - 1);
    return member->region->first + (uint32_t)__builtin_popcountll(before);
}

#endif
