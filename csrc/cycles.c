#include "cycles.h"

#include <stdio.h>
#include <string.h>
#include <structmember.h> /* in Python.h only from 3.12 on */

typedef struct {
    gcctl_graph *graph;
    gcctl_answer *answer;
    PyObject *object;   /* whose references these are */
    int64_t first_step; /* of this object */
} sampling;

static int type_in_answer(const gcctl_answer *answer, const PyTypeObject *type) {
    for (int64_t index = 0; index < answer->types; index++) {
        if (answer->type[index].type == (uintptr_t)type) {
            return (int)index;
        }
    }
    return -1;
}

static void add(sampling *at, PyObject *referent, const char *format, const char *name) {
    gcctl_answer *answer = at->answer;
    gcctl_member from, to;
    if (referent == NULL || answer->steps == GCCTL_STEPS ||
        !gcctl_tracked_find(&at->graph->objects, (uintptr_t)referent, &to) ||
        !gcctl_tracked_find(&at->graph->objects, (uintptr_t)at->object, &from)) {
        return;
    }
    int type = type_in_answer(answer, Py_TYPE(at->object));
    int referent_type = type_in_answer(answer, Py_TYPE(referent));
    if (type < 0 || referent_type < 0) {
        return;
    }
    gcctl_step *step = &answer->step[answer->steps++];
    step->from = gcctl_member_number(&from);
    step->to = gcctl_member_number(&to);
    step->from_type = (uint16_t)type;
    step->to_type = (uint16_t)referent_type;
    snprintf(step->attribute, sizeof step->attribute, format, name);
}

/* As it is where it is plain ASCII, which needs nothing to be made. */
static const char *text_of(PyObject *key) {
    if (!PyUnicode_Check(key) || !PyUnicode_IS_COMPACT_ASCII(key)) {
        return "?";
    }
    return (const char *)PyUnicode_DATA(key);
}

static void add_items(sampling *at, PyObject *dict, const char *format) {
    PyObject *key, *value;
    Py_ssize_t place = 0;
    while (PyDict_Next(dict, &place, &key, &value)) {
        add(at, value, format, text_of(key));
    }
}

static void add_members(sampling *at, const PyTypeObject *type) {
    for (; type != NULL; type = type->tp_base) {
        for (const PyMemberDef *member = type->tp_members; member != NULL && member->name != NULL;
             member++) {
            if (member->type == T_OBJECT || member->type == T_OBJECT_EX) {
                PyObject *value;
                memcpy(&value, (char *)at->object + member->offset, sizeof value);
                add(at, value, ".%.40s", member->name);
            }
        }
    }
}

static int add_unnamed(PyObject *referent, void *context) {
    sampling *at = context;
    gcctl_member member;
    if (!gcctl_tracked_find(&at->graph->objects, (uintptr_t)referent, &member)) {
        return 0;
    }
    uint32_t number = gcctl_member_number(&member);
    for (int64_t step = at->first_step; step < at->answer->steps; step++) {
        if (at->answer->step[step].to == number) {
            return 0;
        }
    }
    PyObject *object = at->object;
    add(at, referent, PyList_Check(object) || PyTuple_Check(object) ? "[]" : "", NULL);
    return 0;
}

void gcctl_cycles_sample(gcctl_graph *graph, gcctl_answer *answer) {
    sampling at = {graph, answer, NULL, 0};
    for (int64_t index = 0; index < answer->candidates && index < GCCTL_SAMPLE; index++) {
        at.object =
            (PyObject *)(uintptr_t)(answer->candidate[index] & ~(uint64_t)GCCTL_LAST_OF_COMPONENT);
        at.first_step = answer->steps;
        PyTypeObject *type = Py_TYPE(at.object);
        add_members(&at, type);
        if (type->tp_dictoffset != 0) {
            PyObject *dict = PyObject_GenericGetDict(at.object, NULL);
            if (dict != NULL && PyDict_Check(dict)) {
                add(&at, dict, "%s", GCCTL_OWN_DICT);
                add_items(&at, dict, ".%.40s");
            }
            PyErr_Clear();
        }
        if (PyDict_Check(at.object)) {
            add_items(&at, at.object, "['%.36s']");
        }
        type->tp_traverse(at.object, add_unnamed, &at);
    }
}
