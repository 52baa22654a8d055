/* What the child tells the parent, in memory that both share: no descriptor, and a look at it costs
   a load. */
#ifndef GCCTL_ANSWER_H
#define GCCTL_ANSWER_H

#include <stdatomic.h>
#include <stdint.h>

/* Names for them are in gcctl/concurrent_run.py, in this order. */
enum {
    GCCTL_ANSWER_NONE,       /* it is at it, or has died */
    GCCTL_ANSWER_DONE,       /* all the rest is valid */
    GCCTL_ANSWER_NO_MEMORY,  /* the system refused memory */
    GCCTL_ANSWER_TOO_LARGE,  /* its tables would be larger than allowed */
    GCCTL_ANSWER_NOT_FOUND,  /* the collector's lists are not where they should be */
    GCCTL_ANSWER_UNEXPECTED, /* an object that begins where none can */
    GCCTL_ANSWER_PARENT_GONE
};

enum { GCCTL_TYPES = 128, GCCTL_TYPE_NAME = 64 };

typedef struct {
    int64_t objects;
    uint64_t type;              /* its address; what lies there may be gone in the parent */
    uint64_t example;           /* address of one of the objects */
    char name[GCCTL_TYPE_NAME]; /* tp_name, cut */
} gcctl_type_count;

enum {
    GCCTL_SAMPLE = 1024, /* objects that are looked at for where cycles run */
    GCCTL_STEPS = 4096,
    GCCTL_ATTRIBUTE = 44
};

/* The attribute by which an instance refers to its dictionary; what is in that, it refers to by
   attributes of its own. */
#define GCCTL_OWN_DICT ".__dict__"

/* One object refers to another one. */
typedef struct {
    uint32_t from, to;               /* numbers that stand for the objects */
    uint16_t from_type, to_type;     /* in gcctl_answer's type[] */
    char attribute[GCCTL_ATTRIBUTE]; /* ".name", "['key']", "[]", "": by nothing that has a name */
} gcctl_step;

/* In the last object of each component this bit is set in its address. */
enum { GCCTL_LAST_OF_COMPONENT = 1 };

typedef struct {
    atomic_int state;
    int64_t tracked;     /* objects in the collector's lists */
    int64_t unreachable; /* of these */
    int64_t candidates;  /* of these, how many fit below */
    int64_t components;
    int64_t largest_component; /* objects */
    int64_t table_bytes;       /* of the child's tables, about */
    int64_t
        memory_bytes;   /* the child's own when it was done: tables and copied pages; -1: unknown */
    int64_t types;      /* entries in type[] */
    int64_t untyped;    /* unreachable objects of further types */
    atomic_int sampled; /* the steps are all there */
    int64_t steps;
    gcctl_step step[GCCTL_STEPS];
    int64_t capacity;                   /* of candidate[]; written by the parent */
    gcctl_type_count type[GCCTL_TYPES]; /* most objects first */
    uint64_t candidate[];               /* addresses, component after component */
} gcctl_answer;

static inline int gcctl_answer_state(const gcctl_answer *answer) {
    return atomic_load_explicit(&answer->state, memory_order_acquire);
}

#endif
