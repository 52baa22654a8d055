#include "interpreter/alone.h"

#include <stddef.h>

#include "interpreter/exchange.h"
#include "interpreter/timer_thread.h"

enum { FORK, FORKPTY, UNSHARE, SETNS, BUILTINS };

/* The signature METH_FASTCALL | METH_KEYWORDS; CPython has a name for it from 3.13 on. */
typedef PyObject *(*function_with_keywords)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

static const char *const names[BUILTINS] = {"fork", "forkpty", "unshare", "setns"};

static gcctl_exchange exchanges[BUILTINS];

static PyObject *without_arguments(int builtin, PyObject *module, PyObject *none) {
    gcctl_timer_thread_pause();
    PyObject *result = exchanges[builtin].original(module, none);
    gcctl_timer_thread_resume();
    return result;
}

static PyObject *with_arguments(int builtin, PyObject *module, PyObject *const *arguments,
                                Py_ssize_t count, PyObject *names_of_keywords) {
    gcctl_timer_thread_pause();
    PyObject *result = ((function_with_keywords)(void (*)(void))exchanges[builtin].original)(
        module, arguments, count, names_of_keywords);
    gcctl_timer_thread_resume();
    return result;
}

static PyObject *fork_alone(PyObject *module, PyObject *none) {
    return without_arguments(FORK, module, none);
}

static PyObject *forkpty_alone(PyObject *module, PyObject *none) {
    return without_arguments(FORKPTY, module, none);
}

static PyObject *unshare_alone(PyObject *module, PyObject *const *arguments, Py_ssize_t count,
                               PyObject *names_of_keywords) {
    return with_arguments(UNSHARE, module, arguments, count, names_of_keywords);
}

static PyObject *setns_alone(PyObject *module, PyObject *const *arguments, Py_ssize_t count,
                             PyObject *names_of_keywords) {
    return with_arguments(SETNS, module, arguments, count, names_of_keywords);
}

static PyCFunction replacement_of(int builtin) {
    switch (builtin) {
    case FORK:
        return fork_alone;
    case FORKPTY:
        return forkpty_alone;
    case UNSHARE:
        return (PyCFunction)(void (*)(void))unshare_alone;
    default:
        return (PyCFunction)(void (*)(void))setns_alone;
    }
}

void gcctl_alone_exchange(PyObject *posix) {
    for (int i = 0; i < BUILTINS; i++) {
        PyObject *builtin = PyObject_GetAttrString(posix, names[i]);
        if (builtin == NULL) {
            PyErr_Clear();
            continue;
        }
        int expected = i <= FORKPTY ? METH_NOARGS : METH_FASTCALL | METH_KEYWORDS;
        gcctl_exchange_make(&exchanges[i], builtin, replacement_of(i), expected);
        Py_DECREF(builtin);
    }
}

void gcctl_alone_put_back(void) {
    for (int i = 0; i < BUILTINS; i++) {
        gcctl_exchange_undo(&exchanges[i]);
    }
}
