#include "interpreter/alone.h"

#include <stdbool.h>
#include <stddef.h>

#include "interpreter/timer_thread.h"

enum { FORK, FORKPTY, UNSHARE, SETNS, BUILTINS };

/* The signature METH_FASTCALL | METH_KEYWORDS; CPython has a name for it from 3.13 on. */
typedef PyObject *(*function_with_keywords)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

static const char *const names[BUILTINS] = {"fork", "forkpty", "unshare", "setns"};

/* Borrowed: a table of the module lives as long as the process. NULL: not exchanged yet. */
static PyMethodDef *entries[BUILTINS];
static PyCFunction originals[BUILTINS];

static PyObject *without_arguments(int builtin, PyObject *module, PyObject *none) {
    gcctl_timer_thread_pause();
    PyObject *result = originals[builtin](module, none);
    gcctl_timer_thread_resume();
    return result;
}

static PyObject *with_arguments(int builtin, PyObject *module, PyObject *const *arguments,
                                Py_ssize_t count, PyObject *names_of_keywords) {
    gcctl_timer_thread_pause();
    PyObject *result = ((function_with_keywords)(void (*)(void))originals[builtin])(
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
        if (PyCFunction_CheckExact(builtin)) {
            PyMethodDef *entry = ((PyCFunctionObject *)builtin)->m_ml;
            /* Somebody else may have exchanged it on top of ours: then it calls ours already. */
            bool is_ours = entries[i] != NULL && entry->ml_meth != originals[i];
            if (entry->ml_flags == expected && !is_ours) {
                originals[i] = entry->ml_meth;
                entries[i] = entry;
                entry->ml_meth = replacement_of(i);
            }
        }
        Py_DECREF(builtin);
    }
}

void gcctl_alone_put_back(void) {
    for (int i = 0; i < BUILTINS; i++) {
        if (entries[i] != NULL && entries[i]->ml_meth == replacement_of(i)) {
            entries[i]->ml_meth = originals[i];
        }
    }
}
