#include "concurrent/child/type_counts.h"

#include <string.h>

#include "concurrent/shared/address_map.h"

enum { TYPES_SEEN = 1024 }; /* a power of two */

typedef struct {
    PyTypeObject *type;
    int64_t objects;
    uint64_t example;
} type_seen;

static type_seen seen[TYPES_SEEN]; /* a hash table by address; used by the child alone */

void gcctl_type_counts_add(PyObject *object, gcctl_answer *answer) {
    PyTypeObject *type = Py_TYPE(object);
    size_t hash = ((uintptr_t)type >> GCCTL_ALIGNMENT_SHIFT) * 0x9E3779B97F4A7C15U >> 32;
    for (size_t tries = 0; tries < TYPES_SEEN / 8; tries++, hash++) {
        type_seen *entry = &seen[hash % TYPES_SEEN];
        if (entry->type == NULL) {
            entry->type = type;
            entry->example = (uintptr_t)object;
        }
        if (entry->type == type) {
            entry->objects++;
            return;
        }
    }
    answer->untyped++;
}

static void write_type(gcctl_answer *answer, const type_seen *entry) {
    gcctl_answer_type *type = &answer->type[answer->types++];
    type->objects = entry->objects;
    type->type = (uintptr_t)entry->type;
    type->example = entry->example;
    strncpy(type->name, entry->type->tp_name, sizeof type->name - 1);
}

/* A selection sort: qsort() may call malloc(), which the child must not do. */
void gcctl_type_counts_write(gcctl_answer *answer) {
    for (;;) {
        type_seen *most = &seen[0];
        for (size_t index = 1; index < TYPES_SEEN; index++) {
            if (seen[index].objects > most->objects) {
                most = &seen[index];
            }
        }
        if (most->objects == 0) {
            return;
        }
        if (answer->types < GCCTL_ANSWER_TYPES) {
            write_type(answer, most);
        } else {
            answer->untyped += most->objects;
        }
        most->objects = 0;
    }
}
