/* Memory straight from the kernel, without malloc(). */
#ifndef GCCTL_PAGES_H
#define GCCTL_PAGES_H

#include <stddef.h>

/* Returns zeroed memory that is private to the process; NULL if the system refuses. A page takes
   memory only when it is written to. */
void *gcctl_pages_map(size_t bytes);

/* Does nothing for NULL. */
void gcctl_pages_unmap(void *pages, size_t bytes);

#endif
