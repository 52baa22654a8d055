/* The child's answer, in memory that it shares with the parent. No descriptor is needed, and asking
   whether the answer has come costs one load. */
#ifndef GCCTL_ANSWER_H
#define GCCTL_ANSWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* gcctl/_concurrent/collection.py says in words what they mean, in the same order. */
enum {
    GCCTL_ANSWER_NONE,       /* the child is at work, or has died */
    GCCTL_ANSWER_DONE,       /* all the other fields are valid */
    GCCTL_ANSWER_NO_MEMORY,  /* the system refused memory */
    GCCTL_ANSWER_TOO_LARGE,  /* the child's tables would be larger than allowed */
    GCCTL_ANSWER_NOT_FOUND,  /* the collector's lists are not where they should be */
    GCCTL_ANSWER_UNEXPECTED, /* an object begins where none can, or is in the lists twice */
    GCCTL_ANSWER_PARENT_GONE
};

enum {
    GCCTL_ANSWER_TYPES = 128,
    GCCTL_ANSWER_TYPE_NAME = 64,
    GCCTL_ANSWER_REFERENCES = 4096,
    GCCTL_ANSWER_ATTRIBUTE = 44
};

typedef struct {
    int64_t objects;
    uint64_t type;                     /* address; in the parent the type may be gone */
    uint64_t example;                  /* address of one of the objects */
    char name[GCCTL_ANSWER_TYPE_NAME]; /* tp_name, cut */
} gcctl_answer_type;

/* One unreachable object refers to another one. */
typedef struct {
    uint32_t from, to;                      /* the objects' numbers in the child */
    uint16_t from_type, to_type;            /* indexes of gcctl_answer's type[] */
    char attribute[GCCTL_ANSWER_ATTRIBUTE]; /* ".name", "['key']", "[]"; "": it has no name */
} gcctl_answer_reference;

/* The attribute from an instance to its own dictionary. An instance also counts as referring to the
   values of that dictionary, by attributes. */
#define GCCTL_ANSWER_OWN_DICT ".__dict__"

/* This bit is set in the address of the last object of each component. */
enum { GCCTL_LAST_OF_COMPONENT = 1 };

typedef struct {
    atomic_int state;    /* one of GCCTL_ANSWER_… */
    int64_t tracked;     /* objects in the collector's lists */
    int64_t unreachable; /* of the tracked ones */
    int64_t candidates;  /* unreachable objects that fit into candidate[] */
    int64_t components;
    int64_t largest_component; /* objects */
    int64_t table_bytes;       /* of the child's tables, about */
    int64_t memory_bytes;      /* the child's own: tables and copied pages; -1: unknown */
    int64_t types;             /* entries in type[] */
    int64_t untyped;           /* unreachable objects of types that are not in type[] */
    atomic_int sampled;        /* reference[] is complete: later than the rest */
    int64_t references;        /* entries in reference[] */
    gcctl_answer_reference reference[GCCTL_ANSWER_REFERENCES];
    int64_t capacity;                           /* of candidate[]; the parent writes it */
    gcctl_answer_type type[GCCTL_ANSWER_TYPES]; /* types with the most objects come first */
    uint64_t candidate[];                       /* addresses, one component after the other */
} gcctl_answer;

/* Returns an empty answer with room for so many candidates; NULL if the system refuses. */
gcctl_answer *gcctl_answer_new(int64_t capacity);
void gcctl_answer_free(gcctl_answer *answer, int64_t capacity);

/* Do the counts lie within their bounds? A child that went wrong may have written anything. */
bool gcctl_answer_is_sound(const gcctl_answer *answer, int64_t capacity);

static inline int gcctl_answer_state(const gcctl_answer *answer) {
    return atomic_load_explicit(&answer->state, memory_order_acquire);
}

#endif
