/* Where the cycles of unreachable objects run: a sample of the objects, with the attributes by
   which they refer to each other.

   This is the child's last work, when the rest of the answer is out. It asks Python for the
   dictionaries of instances, which Python may first have to make. That can go wrong in a process
   that was made while other threads held locks, and must not cost the answer. */
#ifndef GCCTL_CYCLES_H
#define GCCTL_CYCLES_H

#include "concurrent/child/object_set.h"
#include "concurrent/shared/answer.h"

/* Writes references between the first candidates to the answer. `unreachable` has all of them. */
void gcctl_cycles_sample(const gcctl_object_set *unreachable, gcctl_answer *answer);

#endif
