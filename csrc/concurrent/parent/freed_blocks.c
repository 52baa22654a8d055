#include "concurrent/parent/freed_blocks.h"

#include "concurrent/shared/address_map.h"
#include "status.h"

/* A leaf is an array of words of 64 bits. It has a bit for each 16 bytes of its GiB. */
enum { LEAF_WORDS = 1 << (GCCTL_LEAF_SHIFT - GCCTL_ALIGNMENT_SHIFT - 6) };

typedef _Atomic uint64_t word;

atomic_bool gcctl_freed_blocks_is_open;

static gcctl_address_map map;

static size_t word_in_leaf(uintptr_t block) {
    return (block >> (GCCTL_ALIGNMENT_SHIFT + 6)) % LEAF_WORDS;
}

static uint64_t bit_in_word(uintptr_t block) {
    return (uint64_t)1 << ((block >> GCCTL_ALIGNMENT_SHIFT) % 64);
}

int gcctl_freed_blocks_open(void) {
    if (gcctl_address_map_open(&map, LEAF_WORDS * sizeof(word)) != GCCTL_OK) {
        return GCCTL_ERR;
    }
    atomic_store(&gcctl_freed_blocks_is_open, true);
    return GCCTL_OK;
}

void gcctl_freed_blocks_close(void) {
    atomic_store(&gcctl_freed_blocks_is_open, false);
    gcctl_address_map_close(&map);
}

void gcctl_freed_blocks_give_up(void) {
    atomic_store(&gcctl_freed_blocks_is_open, false);
}

bool gcctl_freed_blocks_is_incomplete(void) {
    return atomic_load(&map.incomplete);
}

void gcctl_freed_blocks_add(uintptr_t block) {
    word *leaf = gcctl_address_map_leaf(&map, block);
    if (leaf == NULL) {
        leaf = gcctl_address_map_make_leaf(&map, block);
        if (leaf == NULL) {
            return;
        }
    }
    word *noted = &leaf[word_in_leaf(block)];
    uint64_t bit = bit_in_word(block);
    /* The same few blocks are freed again and again, and a load is cheaper than an atomic "or". */
    if (!(atomic_load_explicit(noted, memory_order_relaxed) & bit)) {
        atomic_fetch_or_explicit(noted, bit, memory_order_relaxed);
    }
}

bool gcctl_freed_blocks_has(uintptr_t block) {
    if (!atomic_load(&gcctl_freed_blocks_is_open)) {
        return true; /* it may have been freed: nothing was noted */
    }
    const word *leaf = gcctl_address_map_leaf(&map, block);
    return leaf != NULL && atomic_load_explicit(&leaf[word_in_leaf(block)], memory_order_relaxed) &
                               bit_in_word(block);
}
