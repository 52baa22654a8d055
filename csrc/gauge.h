/* A number of bytes that the kernel keeps in a file, read again and again through one open
   descriptor. Linux; elsewhere opening fails. */
#ifndef GCCTL_GAUGE_H
#define GCCTL_GAUGE_H

#include <stdint.h>

enum {
    GCCTL_GAUGE_NUMBER,  /* the file is one number of bytes */
    GCCTL_GAUGE_STATM,   /* /proc/PID/statm: its resident set */
    GCCTL_GAUGE_MEMINFO, /* /proc/meminfo: total less available */
    GCCTL_GAUGE_KINDS
};

typedef struct {
    int fd;          /* owned; -1: not open */
    int kind;        /* one of GCCTL_GAUGE_… */
    uint64_t device; /* which file fd is, to know it again */
    uint64_t inode;
} gcctl_gauge;

/* GCCTL_OK, or GCCTL_ERR with the gauge left closed. */
int gcctl_gauge_open(gcctl_gauge *gauge, const char *path, int kind);

/* Bytes; -1 where the file cannot be read, or is not what it should be. Somebody who closes all
   descriptors (daemons do) may have closed ours, and its number may have gone to another file. */
int64_t gcctl_gauge_read(const gcctl_gauge *gauge);

/* Leaves the descriptor alone if it is no longer ours. */
void gcctl_gauge_close(gcctl_gauge *gauge);

#endif
