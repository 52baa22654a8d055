/* Memory for the few objects that the child makes.

   Another thread of the parent may have held a lock in malloc() when the child was made. In the
   child that lock is never released, so the child must not wait for it. */
#ifndef GCCTL_ARENA_H
#define GCCTL_ARENA_H

/* In the child: from here on Python's allocators give memory of our own, and free nothing. */
void gcctl_arena_use(void);

#endif
