#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "concurrent/shared/answer.h"

#include <stddef.h>
#include <sys/mman.h>

static size_t answer_bytes(int64_t capacity) {
    return sizeof(gcctl_answer) + (size_t)capacity * sizeof(uint64_t);
}

gcctl_answer *gcctl_answer_new(int64_t capacity) {
    gcctl_answer *answer = mmap(NULL, answer_bytes(capacity), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (answer == MAP_FAILED) {
        return NULL;
    }
    answer->capacity = capacity;
    return answer;
}

void gcctl_answer_free(gcctl_answer *answer, int64_t capacity) {
    if (answer != NULL) {
        munmap(answer, answer_bytes(capacity));
    }
}

bool gcctl_answer_is_sound(const gcctl_answer *answer, int64_t capacity) {
    return 0 <= answer->candidates && answer->candidates <= capacity && 0 <= answer->types &&
           answer->types <= GCCTL_ANSWER_TYPES && 0 <= answer->references &&
           answer->references <= GCCTL_ANSWER_REFERENCES;
}
