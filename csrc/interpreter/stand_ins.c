#include "interpreter/stand_ins.h"

gcctl_stand_ins gcctl_stand_ins_made;

static gcctl_stand_ins_calls calls;
static PyInterpreterState *own;
static bool switched_on;

static bool for_us(void) {
    return switched_on && PyInterpreterState_Get() == own;
}

static PyObject *with_keywords(gcctl_with_keywords ours, const gcctl_exchange *exchange,
                               PyObject *module, PyObject *const *arguments, Py_ssize_t number,
                               PyObject *names) {
    gcctl_with_keywords original = (gcctl_with_keywords)(void (*)(void))exchange->original;
    return (for_us() ? ours : original)(module, arguments, number, names);
}

static PyObject *with_object(PyCFunction ours, const gcctl_exchange *exchange, PyObject *module,
                             PyObject *argument) {
    return (for_us() ? ours : exchange->original)(module, argument);
}

static PyObject *collect(PyObject *module, PyObject *const *arguments, Py_ssize_t number,
                         PyObject *names) {
    return with_keywords(calls.collect, &gcctl_stand_ins_made.collect, module, arguments, number,
                         names);
}

static PyObject *get_objects(PyObject *module, PyObject *const *arguments, Py_ssize_t number,
                             PyObject *names) {
    return with_keywords(calls.get_objects, &gcctl_stand_ins_made.get_objects, module, arguments,
                         number, names);
}

static PyObject *freeze(PyObject *module, PyObject *none) {
    return with_object(calls.freeze, &gcctl_stand_ins_made.freeze, module, none);
}

static PyObject *unfreeze(PyObject *module, PyObject *none) {
    return with_object(calls.unfreeze, &gcctl_stand_ins_made.unfreeze, module, none);
}

static PyObject *get_freeze_count(PyObject *module, PyObject *none) {
    return with_object(calls.get_freeze_count, &gcctl_stand_ins_made.get_freeze_count, module,
                       none);
}

static PyObject *get_referrers(PyObject *module, PyObject *objects) {
    return with_object(calls.get_referrers, &gcctl_stand_ins_made.get_referrers, module, objects);
}

static PyObject *get_referrers_fast(PyObject *module, PyObject *const *objects, Py_ssize_t number) {
    gcctl_with_arguments original =
        (gcctl_with_arguments)(void (*)(void))gcctl_stand_ins_made.get_referrers.original;
    return (for_us() ? calls.get_referrers_fast : original)(module, objects, number);
}

void gcctl_stand_ins_switch(bool on, const gcctl_stand_ins_calls *new_calls) {
    switched_on = false;
    if (on) {
        own = PyInterpreterState_Get();
        calls = *new_calls;
        switched_on = true;
    }
}

static bool make(gcctl_exchange *exchange, PyObject *gc, const char *name, PyCFunction function,
                 int flags) {
    PyObject *builtin = PyObject_GetAttrString(gc, name);
    if (builtin == NULL) {
        PyErr_Clear();
        return false;
    }
    bool made = gcctl_exchange_make(exchange, builtin, function, flags);
    Py_DECREF(builtin);
    return made;
}

#define FUNCTION(function) (PyCFunction)(void (*)(void)) function

const char *gcctl_stand_ins_make(PyObject *gc) {
    gcctl_stand_ins *made = &gcctl_stand_ins_made;
    const int fast = METH_FASTCALL | METH_KEYWORDS;
    if (!make(&made->collect, gc, "collect", FUNCTION(collect), fast)) {
        return "collect";
    }
    if (!make(&made->get_objects, gc, "get_objects", FUNCTION(get_objects), fast)) {
        return "get_objects";
    }
    if (!make(&made->freeze, gc, "freeze", freeze, METH_NOARGS)) {
        return "freeze";
    }
    if (!make(&made->unfreeze, gc, "unfreeze", unfreeze, METH_NOARGS)) {
        return "unfreeze";
    }
    if (!make(&made->get_freeze_count, gc, "get_freeze_count", get_freeze_count, METH_NOARGS)) {
        return "get_freeze_count";
    }
    if (!make(&made->get_referrers, gc, "get_referrers", get_referrers, METH_VARARGS) &&
        !make(&made->get_referrers, gc, "get_referrers", FUNCTION(get_referrers_fast),
              METH_FASTCALL)) {
        return "get_referrers";
    }
    return NULL;
}

bool gcctl_stand_ins_undo(void) {
    gcctl_stand_ins *made = &gcctl_stand_ins_made;
    bool undone = gcctl_exchange_undo(&made->collect);
    undone &= gcctl_exchange_undo(&made->get_objects);
    undone &= gcctl_exchange_undo(&made->freeze);
    undone &= gcctl_exchange_undo(&made->unfreeze);
    undone &= gcctl_exchange_undo(&made->get_freeze_count);
    undone &= gcctl_exchange_undo(&made->get_referrers);
    return undone;
}
