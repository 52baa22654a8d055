#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "addressmap.h"

#include <sys/mman.h>

#include "status.h"

void *gcctl_pages(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void gcctl_pages_free(void *pages, size_t bytes) {
    if (pages != NULL) {
        munmap(pages, bytes);
    }
}

int gcctl_addressmap_open(gcctl_addressmap *map, size_t leaf_bytes) {
    map->leaf_bytes = leaf_bytes;
    atomic_store(&map->leaves, 0);
    atomic_store(&map->incomplete, false);
    map->root = gcctl_pages(gcctl_addressmap_roots() * sizeof *map->root);
    return map->root == NULL ? GCCTL_ERR : GCCTL_OK;
}

void gcctl_addressmap_close(gcctl_addressmap *map) {
    if (map->root == NULL) {
        return;
    }
    for (int index = 0; index < atomic_load(&map->leaves) && index < GCCTL_LEAVES; index++) {
        gcctl_pages_free(atomic_exchange(&map->leaf[index], NULL), map->leaf_bytes);
    }
    gcctl_pages_free((void *)map->root, gcctl_addressmap_roots() * sizeof *map->root);
    map->root = NULL;
}

void *gcctl_addressmap_make_leaf(gcctl_addressmap *map, uintptr_t address) {
    uintptr_t number = address >> GCCTL_LEAF_SHIFT;
    if (number >= gcctl_addressmap_roots()) {
        atomic_store(&map->incomplete, true);
        return NULL;
    }
    if (atomic_load(&map->incomplete)) {
        return NULL; /* all is lost already: not another try for each block */
    }
    void *found = atomic_load_explicit(&map->root[number], memory_order_acquire);
    if (found != NULL) {
        return found;
    }
    int index = atomic_fetch_add(&map->leaves, 1);
    void *leaf = index < GCCTL_LEAVES ? gcctl_pages(map->leaf_bytes) : NULL;
    if (leaf == NULL) {
        atomic_store(&map->incomplete, true);
        return NULL;
    }
    if (!atomic_compare_exchange_strong(&map->root[number], &found, leaf)) {
        gcctl_pages_free(leaf, map->leaf_bytes); /* another thread was first */
        return found;
    }
    map->number[index] = number;
    atomic_store(&map->leaf[index], leaf);
    return leaf;
}

size_t gcctl_addressmap_next(const gcctl_addressmap *map, size_t number) {
    size_t lowest = gcctl_addressmap_roots();
    for (int index = 0; index < atomic_load(&map->leaves) && index < GCCTL_LEAVES; index++) {
        if (number <= map->number[index] && map->number[index] < lowest) {
            lowest = map->number[index];
        }
    }
    return lowest;
}
