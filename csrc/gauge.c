/* pread and O_CLOEXEC are hidden by -std=c11 unless POSIX is asked for before the first header. */
#define _POSIX_C_SOURCE 200809L

#include "gauge.h"

#include "status.h"

#if defined(__linux__)

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* All that is looked for stands at the beginning, in /proc/meminfo too. */
enum { TEXT_SIZE = 256, MOST_DIGITS = 14 };

int gcctl_gauge_open(gcctl_gauge *gauge, const char *path, int kind) {
    struct stat found;
    gauge->kind = kind;
    gauge->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (gauge->fd < 0) {
        return GCCTL_ERR;
    }
    if (fstat(gauge->fd, &found) < 0) {
        close(gauge->fd);
        gauge->fd = -1;
        return GCCTL_ERR;
    }
    gauge->device = found.st_dev;
    gauge->inode = found.st_ino;
    return GCCTL_OK;
}

void gcctl_gauge_close(gcctl_gauge *gauge) {
    struct stat found;
    if (gauge->fd >= 0 && fstat(gauge->fd, &found) == 0 && found.st_dev == gauge->device &&
        found.st_ino == gauge->inode) {
        close(gauge->fd);
    }
    gauge->fd = -1;
}

/* The number at *text, which is moved behind it; -1 where there is none, or one of too many digits
   to be multiplied by a page (of up to 64 KiB) or a kilobyte. */
static int64_t number(const char **text) {
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

/* In statm there are seven numbers of pages; the second is what is resident. All are looked at: if
   our descriptor has become somebody else's file, this is not to be taken from that. */
static int64_t resident(const char *text) {
    int64_t pages = -1;
    for (int field = 0; field < 7; field++) {
        int64_t value = *text == ' ' ? -1 : number(&text);
        if (value < 0 || *text != (field < 6 ? ' ' : '\n')) {
            return -1;
        }
        text++;
        pages = field == 1 ? value : pages;
    }
    return pages * sysconf(_SC_PAGESIZE);
}

/* The number of kB that stands behind a name of /proc/meminfo, in bytes. */
static int64_t field(const char *text, const char *name) {
    const char *at = strstr(text, name);
    if (at == NULL) {
        return -1;
    }
    at += strlen(name);
    int64_t kilobytes = number(&at);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

int64_t gcctl_gauge_read(const gcctl_gauge *gauge) {
    char text[TEXT_SIZE];
    const char *at = text;
    int64_t value, available;
    ssize_t length = gauge->fd < 0 ? -1 : pread(gauge->fd, text, sizeof text - 1, 0);
    if (length <= 0) {
        return -1;
    }
    text[length] = '\0';
    switch (gauge->kind) {
    case GCCTL_GAUGE_STATM:
        return resident(text);
    case GCCTL_GAUGE_MEMINFO:
        value = field(text, "MemTotal:");
        available = field(text, "MemAvailable:");
        return value < 0 || available < 0 || available > value ? -1 : value - available;
    default:
        value = number(&at);
        return *at == '\n' || *at == '\0' ? value : -1;
    }
}

#else

int gcctl_gauge_open(gcctl_gauge *gauge, const char *path, int kind) {
    (void)path;
    gauge->fd = -1;
    gauge->kind = kind;
    return GCCTL_ERR;
}

int64_t gcctl_gauge_read(const gcctl_gauge *gauge) {
    (void)gauge;
    return -1;
}

void gcctl_gauge_close(gcctl_gauge *gauge) {
    (void)gauge;
}

#endif
