/* Where the cycles of unreachable objects run, from a sample of them: which object refers to which,
   and by what attribute. The child's last work, when its answer is out already: it asks Python for
   the dictionaries of instances, which may have to be made, and what that can go wrong in a process
   made while others held locks must not cost the answer. */
#ifndef GCCTL_CYCLES_H
#define GCCTL_CYCLES_H

#include "answer.h"
#include "graph.h"

void gcctl_cycles_sample(gcctl_graph *graph, gcctl_answer *answer);

#endif
