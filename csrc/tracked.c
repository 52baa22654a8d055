#include "tracked.h"

#include "status.h"

enum { CHUNK_REGIONS = 1 << (GCCTL_CHUNK_SHIFT - GCCTL_REGION_SHIFT) };

int gcctl_tracked_open(gcctl_tracked *set) {
    set->members = 0;
    set->chunks = 0;
    return gcctl_addressmap_open(&set->map, sizeof(gcctl_leaf));
}

int gcctl_tracked_add(gcctl_tracked *set, uintptr_t object) {
    gcctl_member member;
    gcctl_leaf *leaf = gcctl_addressmap_make_leaf(&set->map, object);
    if (leaf == NULL || object % ((uintptr_t)1 << GCCTL_ALIGNMENT_SHIFT) != 0 ||
        gcctl_tracked_find(set, object, &member)) {
        return GCCTL_ERR;
    }
    member.region->member |= member.bit;
    set->members++;
    size_t chunk = (object >> GCCTL_CHUNK_SHIFT) % GCCTL_LEAF_CHUNKS;
    uint64_t bit = (uint64_t)1 << (chunk % 64);
    set->chunks += !(leaf->in_use[chunk / 64] & bit);
    leaf->in_use[chunk / 64] |= bit;
    return GCCTL_OK;
}

/* The first chunk in use at or behind `chunk`; GCCTL_LEAF_CHUNKS: none. */
static size_t chunk_in_use(const gcctl_leaf *leaf, size_t chunk) {
    while (chunk < GCCTL_LEAF_CHUNKS) {
        uint64_t rest = leaf->in_use[chunk / 64] >> (chunk % 64);
        if (rest != 0) {
            return chunk + (size_t)__builtin_ctzll(rest);
        }
        chunk = (chunk / 64 + 1) * 64;
    }
    return GCCTL_LEAF_CHUNKS;
}

gcctl_region *gcctl_tracked_region(const gcctl_tracked *set, uintptr_t *address) {
    size_t index = (*address >> GCCTL_REGION_SHIFT) % GCCTL_LEAF_REGIONS;
    gcctl_leaf *leaf = gcctl_addressmap_leaf(&set->map, *address);
    size_t chunk = leaf == NULL ? GCCTL_LEAF_CHUNKS : chunk_in_use(leaf, index / CHUNK_REGIONS);
    size_t number = *address >> GCCTL_LEAF_SHIFT;
    while (chunk == GCCTL_LEAF_CHUNKS) {
        number = gcctl_addressmap_next(&set->map, number + (leaf != NULL));
        if (number == gcctl_addressmap_roots()) {
            return NULL;
        }
        leaf = gcctl_addressmap_leaf(&set->map, number << GCCTL_LEAF_SHIFT);
        index = 0;
        chunk = chunk_in_use(leaf, 0);
    }
    if (chunk > index / CHUNK_REGIONS) {
        index = chunk * CHUNK_REGIONS;
    }
    *address = (number << GCCTL_LEAF_SHIFT) | (index << GCCTL_REGION_SHIFT);
    return &leaf->region[index];
}

void gcctl_tracked_number(gcctl_tracked *set) {
    gcctl_region *region;
    set->members = 0;
    for (uintptr_t place = 0; (region = gcctl_tracked_region(set, &place)) != NULL;
         place += (uintptr_t)1 << GCCTL_REGION_SHIFT) {
        region->first = set->members;
        set->members += (uint32_t)__builtin_popcountll(region->member);
    }
}

void gcctl_tracked_keep_unmarked(gcctl_tracked *set) {
    gcctl_region *region;
    for (uintptr_t place = 0; (region = gcctl_tracked_region(set, &place)) != NULL;
         place += (uintptr_t)1 << GCCTL_REGION_SHIFT) {
        region->member &= ~region->marked;
        region->marked = 0;
    }
    gcctl_tracked_number(set);
}
