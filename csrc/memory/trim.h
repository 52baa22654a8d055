/* Freed memory is given back to the system. */
#ifndef GCCTL_TRIM_H
#define GCCTL_TRIM_H

/* Calls malloc_trim() of glibc; on Windows shrinks the working set. Returns GCCTL_ERR on systems
   that have neither. Takes up to a tenth of a second and does not need the GIL. */
int gcctl_trim_memory(void);

#endif
