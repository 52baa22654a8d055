/* The generations of CPython's collector. */
#ifndef GCCTL_GENERATIONS_H
#define GCCTL_GENERATIONS_H

enum { GCCTL_GENERATIONS = 3 };

#endif
