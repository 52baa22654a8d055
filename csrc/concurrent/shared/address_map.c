#include "concurrent/shared/address_map.h"

#include "concurrent/shared/pages.h"
#include "status.h"

int gcctl_address_map_open(gcctl_address_map *map, size_t leaf_bytes) {
    map->leaf_bytes = leaf_bytes;
    atomic_store(&map->leaves, 0);
    atomic_store(&map->incomplete, false);
    map->root = gcctl_pages_map(gcctl_address_map_gibs() * sizeof *map->root);
    return map->root == NULL ? GCCTL_ERR : GCCTL_OK;
}

void gcctl_address_map_close(gcctl_address_map *map) {
    if (map->root == NULL) {
        return;
    }
    for (int index = 0; index < atomic_load(&map->leaves) && index < GCCTL_LEAVES; index++) {
        gcctl_pages_unmap(atomic_exchange(&map->leaf[index], NULL), map->leaf_bytes);
    }
    gcctl_pages_unmap((void *)map->root, gcctl_address_map_gibs() * sizeof *map->root);
    map->root = NULL;
}

void *gcctl_address_map_make_leaf(gcctl_address_map *map, uintptr_t address) {
    uintptr_t gib = address >> GCCTL_LEAF_SHIFT;
    if (gib >= gcctl_address_map_gibs()) {
        atomic_store(&map->incomplete, true);
        return NULL;
    }
    if (atomic_load(&map->incomplete)) {
        return NULL; /* notes are lost already, so do not ask the system again for each block */
    }
    void *found = atomic_load_explicit(&map->root[gib], memory_order_acquire);
    if (found != NULL) {
        return found;
    }
    int index = atomic_fetch_add(&map->leaves, 1);
    void *leaf = index < GCCTL_LEAVES ? gcctl_pages_map(map->leaf_bytes) : NULL;
    if (leaf == NULL) {
        atomic_store(&map->incomplete, true);
        return NULL;
    }
    if (!atomic_compare_exchange_strong(&map->root[gib], &found, leaf)) {
        gcctl_pages_unmap(leaf, map->leaf_bytes); /* another thread was first */
        return found;
    }
    map->gib[index] = gib;
    atomic_store(&map->leaf[index], leaf);
    return leaf;
}

size_t gcctl_address_map_next(const gcctl_address_map *map, size_t gib) {
    size_t lowest = gcctl_address_map_gibs();
    for (int index = 0; index < atomic_load(&map->leaves) && index < GCCTL_LEAVES; index++) {
        if (gib <= map->gib[index] && map->gib[index] < lowest) {
            lowest = map->gib[index];
        }
    }
    return lowest;
}
