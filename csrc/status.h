/* What a function that can fail returns. */
#ifndef GCCTL_STATUS_H
#define GCCTL_STATUS_H

enum { GCCTL_OK = 0, GCCTL_ERR = -1 };

#endif
