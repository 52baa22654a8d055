/* A set of objects by address, which numbers its members in the order of their addresses.

   Per KiB of heap 24 bytes, a bit for each place where an object can begin: that is 2.3 % of the
   pages that hold tracked objects, and less than a hash table takes. Who goes through it in that
   order goes through memory in order, however the collector's lists are shuffled. */
#ifndef GCCTL_TRACKED_H
#define GCCTL_TRACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addressmap.h"

enum {
    GCCTL_REGION_SHIFT = GCCTL_ALIGNMENT_SHIFT + 6, /* 64 places where objects begin */
    GCCTL_CHUNK_SHIFT = GCCTL_REGION_SHIFT + 7,     /* 128 regions, 3 KiB of them */
    GCCTL_LEAF_REGIONS = 1 << (GCCTL_LEAF_SHIFT - GCCTL_REGION_SHIFT),
    GCCTL_LEAF_CHUNKS = 1 << (GCCTL_LEAF_SHIFT - GCCTL_CHUNK_SHIFT)
};

#define GCCTL_MEMBERS UINT32_MAX /* at most */

typedef struct {
    uint64_t member;
    uint64_t marked; /* of the members */
    uint32_t first;  /* the number of the first member */
} gcctl_region;

typedef struct {
    uint64_t in_use[GCCTL_LEAF_CHUNKS / 64]; /* a bit per chunk: it has had members */
    gcctl_region region[GCCTL_LEAF_REGIONS];
} gcctl_leaf;

typedef struct {
    gcctl_addressmap map; /* leaves are gcctl_leaf */
    uint32_t members;
    int64_t chunks; /* in use */
} gcctl_tracked;

typedef struct {
    gcctl_region *region;
    uint64_t bit;
} gcctl_member;

int gcctl_tracked_open(gcctl_tracked *set);

/* GCCTL_ERR for an address where no object can begin, or where there is no memory. */
int gcctl_tracked_add(gcctl_tracked *set, uintptr_t object);

/* Gives the members their numbers: after the last one was added. */
void gcctl_tracked_number(gcctl_tracked *set);

/* Leaves only the members that are not marked, and numbers them anew. */
void gcctl_tracked_keep_unmarked(gcctl_tracked *set);

/* The first region in use at *address or above, and in *address where it begins; NULL: no more.
   Not each of its places has a member. */
gcctl_region *gcctl_tracked_region(const gcctl_tracked *set, uintptr_t *address);

static inline uintptr_t gcctl_region_place(uintptr_t region, unsigned bit) {
    return region + ((uintptr_t)bit << GCCTL_ALIGNMENT_SHIFT);
}

/* The region that an address is in; NULL when nothing near it is a member. */
static inline gcctl_region *gcctl_tracked_region_of(const gcctl_tracked *set, uintptr_t object) {
    gcctl_leaf *leaf = gcctl_addressmap_leaf(&set->map, object);
    return leaf == NULL ? NULL : &leaf->region[(object >> GCCTL_REGION_SHIFT) % GCCTL_LEAF_REGIONS];
}

/* The member that an address is, in *member; false when it is none. */
static inline bool gcctl_tracked_find(const gcctl_tracked *set, uintptr_t object,
                                      gcctl_member *member) {
    member->region = gcctl_tracked_region_of(set, object);
    if (member->region == NULL) {
        return false;
    }
    member->bit = (uint64_t)1 << ((object >> GCCTL_ALIGNMENT_SHIFT) % 64);
    return member->region->member & member->bit;
}

static inline uint32_t gcctl_member_number(const gcctl_member *member) {
    uint64_t before = member->region->member & (member->bit - 1);
    return member->region->first + (uint32_t)__builtin_popcountll(before);
}

#endif
