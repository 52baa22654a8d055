#include "collector/gc_calls.h"

#include "collector/gc_lists.h"

typedef PyObject *(*with_keywords)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

/* A function of the module. Where it is no builtin of the kind that is known, its object is called. */
typedef struct {
    PyObject *object; /* Owned, for ever. */
    PyCFunction function;
    PyObject *self; /* Borrowed from `object`. */
} gc_call;

static gc_call collect, freeze, unfreeze;
static PyObject *generations[GCCTL_GC_LISTS]; /* Owned, for ever: the numbers 0 to 2. */

static int find(PyObject *module, const char *name, int flags, gc_call *call) {
    call->object = PyObject_GetAttrString(module, name);
    if (call->object == NULL) {
        return -1;
    }
    if (PyCFunction_CheckExact(call->object) && PyCFunction_GET_FLAGS(call->object) == flags) {
        call->function = PyCFunction_GET_FUNCTION(call->object);
        call->self = PyCFunction_GET_SELF(call->object);
    }
    return 0;
}

PyObject *gcctl_gc_calls_module(void) {
    PyObject *module = PyImport_ImportModule("gc");
    PyObject *imports = PyImport_ImportModule("_imp");
    PyObject *spec = module == NULL ? NULL : PyObject_GetAttrString(module, "__spec__");
    PyObject *fresh = NULL;
    if (imports != NULL && spec != NULL) {
        fresh = PyObject_CallMethod(imports, "create_builtin", "O", spec);
    }
    Py_XDECREF(spec);
    Py_XDECREF(imports);
    Py_XDECREF(module);
    return fresh;
}

int gcctl_gc_calls_find(void) {
    for (int generation = 0; generation < GCCTL_GC_LISTS; generation++) {
        generations[generation] = PyLong_FromLong(generation);
        if (generations[generation] == NULL) {
            return -1;
        }
    }
    PyObject *module = gcctl_gc_calls_module();
    if (module == NULL) {
        return -1;
    }
    int found = find(module, "collect", METH_FASTCALL | METH_KEYWORDS, &collect);
    found |= find(module, "freeze", METH_NOARGS, &freeze);
    found |= find(module, "unfreeze", METH_NOARGS, &unfreeze);
    Py_DECREF(module);
    return found;
}

PyObject *gcctl_gc_calls_collect(int generation) {
    if (collect.function == NULL) {
        return PyObject_CallFunction(collect.object, "i", generation);
    }
    with_keywords function = (with_keywords)(void (*)(void))collect.function;
    return function(collect.self, &generations[generation], 1, NULL);
}

static PyObject *call_without_arguments(const gc_call *call) {
    if (call->function == NULL) {
        return PyObject_CallNoArgs(call->object);
    }
    return call->function(call->self, NULL);
}

PyObject *gcctl_gc_calls_freeze(void) {
    return call_without_arguments(&freeze);
}

PyObject *gcctl_gc_calls_unfreeze(void) {
    return call_without_arguments(&unfreeze);
}
