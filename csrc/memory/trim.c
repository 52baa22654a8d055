#include "memory/trim.h"

#include <stdint.h>

#include "status.h"

#if defined(_WIN32)

#include <windows.h>

int gcctl_trim_memory(void) {
    SIZE_T all = (SIZE_T)-1;
    return SetProcessWorkingSetSize(GetCurrentProcess(), all, all) ? GCCTL_OK : GCCTL_ERR;
}

/* Any header of glibc tells whether this is glibc; stdint.h was one. */
#elif defined(__GLIBC__)

#include <malloc.h>

int gcctl_trim_memory(void) {
    malloc_trim(0); /* it returns 0 if there was nothing to give back: that is no error */
    return GCCTL_OK;
}

#else

int gcctl_trim_memory(void) {
    return GCCTL_ERR;
}

#endif
