/* What requests read and write, in memory that is all zero in a forked child.

   A boundary compares a number there anyway. So a child finds out at its first one, also where the
   fork has run no hooks, and its requests are counted from zero on before it has found out. */
#ifndef GCCTL_FORK_PAGE_H
#define GCCTL_FORK_PAGE_H

#include <stdint.h>

typedef struct {
    int64_t process;        /* number of the process among those that were forked from each other,
                               from 1 on; 0: a child that nobody has put right yet */
    int64_t in_flight;      /* requests */
    int64_t due_at_request; /* number of the request with something to do; INT64_MAX: stopped */
} gcctl_fork_page;

/* Returns the one page of this process, all zero at the first call. It is never freed. Returns NULL
   if there is no memory. */
gcctl_fork_page *gcctl_fork_page_get(void);

#endif
