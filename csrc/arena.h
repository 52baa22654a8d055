/* Memory for the few objects that the child makes. A lock that another thread held in malloc() at
   the clone is never released there, and the child must not wait for it. */
#ifndef GCCTL_ARENA_H
#define GCCTL_ARENA_H

/* In the child: from here on Python's allocators give pages of our own, and take nothing back. */
void gcctl_arena_use(void);

#endif
