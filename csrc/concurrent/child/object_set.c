#include "concurrent/child/object_set.h"

#include "status.h"

enum { CHUNK_REGIONS = 1 << (GCCTL_CHUNK_SHIFT - GCCTL_REGION_SHIFT) };

int gcctl_object_set_open(gcctl_object_set *set) {
    set->members = 0;
    set->chunks = 0;
    return gcctl_address_map_open(&set->map, sizeof(gcctl_leaf));
}

int gcctl_object_set_add(gcctl_object_set *set, uintptr_t object) {
    gcctl_member member;
    gcctl_leaf *leaf = gcctl_address_map_make_leaf(&set->map, object);
    if (leaf == NULL || object % ((uintptr_t)1 << GCCTL_ALIGNMENT_SHIFT) != 0 ||
        gcctl_object_set_find(set, object, &member)) {
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

/* Returns the first chunk in use from this one on; GCCTL_LEAF_CHUNKS if there is none. */
static size_t next_chunk_in_use(const gcctl_leaf *leaf, size_t chunk) {
    while (chunk < GCCTL_LEAF_CHUNKS) {
        uint64_t rest = leaf->in_use[chunk / 64] >> (chunk % 64);
        if (rest != 0) {
            return chunk + (size_t)__builtin_ctzll(rest);
        }
        chunk = (chunk / 64 + 1) * 64;
    }
    return GCCTL_LEAF_CHUNKS;
}

gcctl_region *gcctl_object_set_next_region(const gcctl_object_set *set, uintptr_t *address) {
    size_t index = (*address >> GCCTL_REGION_SHIFT) % GCCTL_LEAF_REGIONS;
    gcctl_leaf *leaf = gcctl_address_map_leaf(&set->map, *address);
    size_t chunk =
        leaf == NULL ? GCCTL_LEAF_CHUNKS : next_chunk_in_use(leaf, index / CHUNK_REGIONS);
    size_t gib = *address >> GCCTL_LEAF_SHIFT;
    while (chunk == GCCTL_LEAF_CHUNKS) { /* none in this leaf: go on in the next one */
        gib = gcctl_address_map_next(&set->map, gib + (leaf != NULL));
        if (gib == gcctl_address_map_gibs()) {
            return NULL;
        }
        leaf = gcctl_address_map_leaf(&set->map, gib << GCCTL_LEAF_SHIFT);
        index = 0;
        chunk = next_chunk_in_use(leaf, 0);
    }
    if (chunk > index / CHUNK_REGIONS) {
        index = chunk * CHUNK_REGIONS;
    }
    *address = (gib << GCCTL_LEAF_SHIFT) | (index << GCCTL_REGION_SHIFT);
    return &leaf->region[index];
}

void gcctl_object_set_assign_numbers(gcctl_object_set *set) {
    gcctl_region *region;
    set->members = 0;
    for (uintptr_t at = 0; (region = gcctl_object_set_next_region(set, &at)) != NULL;
         at += GCCTL_REGION_BYTES) {
        region->first = set->members;
        set->members += (uint32_t)__builtin_popcountll(region->member);
    }
}

void gcctl_object_set_keep_unmarked(gcctl_object_set *set) {
    gcctl_region *region;
    for (uintptr_t at = 0; (region = gcctl_object_set_next_region(set, &at)) != NULL;
         at += GCCTL_REGION_BYTES) {
        region->member &= ~region->marked;
        region->marked = 0;
    }
    gcctl_object_set_assign_numbers(set);
}
