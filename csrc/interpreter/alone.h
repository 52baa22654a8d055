/* Functions of Python that want a process with one thread: os.unshare() and os.setns() fail in any
   other, os.fork() and os.forkpty() warn of it since CPython 3.12.

   So the C functions behind them are exchanged (exchange.h): the timer's thread (timer_thread.h) is
   gone while the builtin runs. */
#ifndef GCCTL_ALONE_H
#define GCCTL_ALONE_H

#include <Python.h>

/* Exchange these builtins of the module `posix`. One that is not there, or has another signature than
   expected, is left out. */
void gcctl_alone_exchange(PyObject *posix);

/* Put back what nobody else has exchanged since. */
void gcctl_alone_put_back(void);

#endif
