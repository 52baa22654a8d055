/* pread and O_CLOEXEC are hidden by -std=c11 unless POSIX is asked for before the first header. */
#define _POSIX_C_SOURCE 200809L

#include "memory/usage.h"

#include "status.h"

#if defined(__linux__)

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The numbers that are read stand in the first 255 bytes of each file, also of /proc/meminfo. */
enum { TEXT_SIZE = 256, MOST_DIGITS = 14 };

int gcctl_usage_open(gcctl_usage *usage, const char *path, int kind) {
    struct stat found;
    usage->kind = kind;
    usage->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (usage->fd < 0) {
        return GCCTL_ERR;
    }
    if (fstat(usage->fd, &found) < 0) {
        close(usage->fd);
        usage->fd = -1;
        return GCCTL_ERR;
    }
    usage->device = found.st_dev;
    usage->inode = found.st_ino;
    return GCCTL_OK;
}

void gcctl_usage_close(gcctl_usage *usage) {
    struct stat found;
    if (usage->fd >= 0 && fstat(usage->fd, &found) == 0 && found.st_dev == usage->device &&
        found.st_ino == usage->inode) {
        close(usage->fd);
    }
    usage->fd = -1;
}

/* Reads the number at *text and moves *text behind it. Returns -1 if there is no number, or if it
   has so many digits that the product with a page (up to 64 KiB) would overflow. */
static int64_t read_number(const char **text) {
    const char *digit = *text;
    int64_t value = 0;
    int digits = 0;
    while (*digit == ' ') {
        digit++;
    }
    if (*digit < '0' || *digit > '9') {
        return -1;
    }
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        if (++digits > MOST_DIGITS) {
            return -1;
        }
        value = value * 10 + (*digit - '0');
    }
    *text = digit;
    return value;
}

/* statm has seven numbers of pages; the second one is the resident set. All seven are read: if the
   descriptor now belongs to another file, that file must not pass for statm. */
static int64_t resident_bytes(const char *text) {
    int64_t pages = -1;
    for (int field = 0; field < 7; field++) {
        int64_t value = *text == ' ' ? -1 : read_number(&text);
        if (value < 0 || *text != (field < 6 ? ' ' : '\n')) {
            return -1;
        }
        text++;
        pages = field == 1 ? value : pages;
    }
    return pages * sysconf(_SC_PAGESIZE);
}

/* The value of a field of /proc/meminfo, which has kB, in bytes; -1 if it is not there. */
static int64_t field_bytes(const char *text, const char *name) {
    const char *at = strstr(text, name);
    if (at == NULL) {
        return -1;
    }
    at += strlen(name);
    int64_t kilobytes = read_number(&at);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

int64_t gcctl_usage_read(const gcctl_usage *usage) {
    char text[TEXT_SIZE];
    const char *at = text;
    int64_t number, total, available;
    ssize_t length = usage->fd < 0 ? -1 : pread(usage->fd, text, sizeof text - 1, 0);
    if (length <= 0) {
        return -1;
    }
    text[length] = '\0';
    switch (usage->kind) {
    case GCCTL_USAGE_STATM:
        return resident_bytes(text);
    case GCCTL_USAGE_MEMINFO:
        total = field_bytes(text, "MemTotal:");
        available = field_bytes(text, "MemAvailable:");
        return total < 0 || available < 0 || available > total ? -1 : total - available;
    default:
        number = read_number(&at);
        return *at == '\n' || *at == '\0' ? number : -1;
    }
}

#else

int gcctl_usage_open(gcctl_usage *usage, const char *path, int kind) {
    (void)path;
    usage->fd = -1;
    usage->kind = kind;
    return GCCTL_ERR;
}

int64_t gcctl_usage_read(const gcctl_usage *usage) {
    (void)usage;
    return -1;
}

void gcctl_usage_close(gcctl_usage *usage) {
    (void)usage;
}

#endif
