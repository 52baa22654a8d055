/* A number of bytes that the Linux kernel keeps in a file: how much memory is used, or a limit.

   The file stays open, so that a read costs one system call. On other systems opening fails. */
#ifndef GCCTL_USAGE_H
#define GCCTL_USAGE_H

#include <stdint.h>

/* What the file is, and which number is read. */
enum {
    GCCTL_USAGE_NUMBER,  /* a file that is one number of bytes */
    GCCTL_USAGE_STATM,   /* /proc/PID/statm: the resident set */
    GCCTL_USAGE_MEMINFO, /* /proc/meminfo: MemTotal less MemAvailable */
    GCCTL_USAGE_KINDS
};

typedef struct {
    int fd;          /* owned; -1: not open */
    int kind;        /* one of GCCTL_USAGE_… */
    uint64_t device; /* device and inode tell whether fd still is our file */
    uint64_t inode;
} gcctl_usage;

/* Returns GCCTL_OK; or GCCTL_ERR, and the file is not open. */
int gcctl_usage_open(gcctl_usage *usage, const char *path, int kind);

/* Returns bytes; -1 if the file cannot be read, or has other contents than expected. A program that
   closes all descriptors (daemons do) closes ours too. The number of the descriptor may then belong
   to another file. */
int64_t gcctl_usage_read(const gcctl_usage *usage);

/* Closes the descriptor if it is still ours. */
void gcctl_usage_close(gcctl_usage *usage);

#endif
