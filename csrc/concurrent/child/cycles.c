#include "concurrent/child/cycles.h"

#include <Python.h>
#include <stdio.h>
#include <string.h>
#include <structmember.h> /* in Python.h only from 3.12 on */

enum { SAMPLE = 1024 }; /* objects whose references are written */

typedef struct {
    const gcctl_object_set *unreachable;
    gcctl_answer *answer;
    PyObject *object;        /* the one whose references are written now */
    int64_t first_reference; /* index of its first one in the answer */
} sampling;

static int type_in_answer(const gcctl_answer *answer, const PyTypeObject *type) {
    for (int64_t index = 0; index < answer->types; index++) {
        if (answer->type[index].type == (uintptr_t)type) {
            return (int)index;
        }
    }
    return -1;
}

static void add_reference(sampling *state, PyObject *referent, const char *format,
                          const char *name) {
    gcctl_answer *answer = state->answer;
    gcctl_member from, to;
    if (referent == NULL || answer->references == GCCTL_ANSWER_REFERENCES ||
        !gcctl_object_set_find(state->unreachable, (uintptr_t)referent, &to) ||
        !gcctl_object_set_find(state->unreachable, (uintptr_t)state->object, &from)) {
        return;
    }
    int type = type_in_answer(answer, Py_TYPE(state->object));
    int referent_type = type_in_answer(answer, Py_TYPE(referent));
    if (type < 0 || referent_type < 0) {
        return;
    }
    gcctl_answer_reference *reference = &answer->reference[answer->references++];
    reference->from = gcctl_object_set_number_of(&from);
    reference->to = gcctl_object_set_number_of(&to);
    reference->from_type = (uint16_t)type;
    reference->to_type = (uint16_t)referent_type;
    snprintf(reference->attribute, sizeof reference->attribute, format, name);
}

/* The text of a plain ASCII string, for which nothing has to be made. */
static const char *text_of(PyObject *key) {
    if (!PyUnicode_Check(key) || !PyUnicode_IS_COMPACT_ASCII(key)) {
        return "?";
    }
    return (const char *)PyUnicode_DATA(key);
}

static void add_items(sampling *state, PyObject *dict, const char *format) {
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &key, &value)) {
        add_reference(state, value, format, text_of(key));
    }
}

static void add_members(sampling *state, const PyTypeObject *type) {
    for (; type != NULL; type = type->tp_base) {
        for (const PyMemberDef *member = type->tp_members; member != NULL && member->name != NULL;
             member++) {
            if (member->type == T_OBJECT || member->type == T_OBJECT_EX) {
                PyObject *value;
                memcpy(&value, (char *)state->object + member->offset, sizeof value);
                add_reference(state, value, ".%.40s", member->name);
            }
        }
    }
}

static int add_unnamed(PyObject *referent, void *context) {
    sampling *state = context;
    gcctl_member member;
    if (!gcctl_object_set_find(state->unreachable, (uintptr_t)referent, &member)) {
        return 0;
    }
    uint32_t number = gcctl_object_set_number_of(&member);
    for (int64_t index = state->first_reference; index < state->answer->references; index++) {
        if (state->answer->reference[index].to == number) { /* it has a name */
            return 0;
        }
    }
    PyObject *object = state->object;
    add_reference(state, referent, PyList_Check(object) || PyTuple_Check(object) ? "[]" : "", NULL);
    return 0;
}

static PyObject *object_at(uint64_t candidate) {
    return (PyObject *)(uintptr_t)(candidate & ~(uint64_t)GCCTL_LAST_OF_COMPONENT);
}

static void add_all(sampling *state) {
    PyTypeObject *type = Py_TYPE(state->object);
    add_members(state, type);
    if (type->tp_dictoffset != 0) {
        PyObject *dict = PyObject_GenericGetDict(state->object, NULL);
        if (dict != NULL && PyDict_Check(dict)) {
            add_reference(state, dict, "%s", GCCTL_ANSWER_OWN_DICT);
            add_items(state, dict, ".%.40s");
        }
        PyErr_Clear();
    }
    if (PyDict_Check(state->object)) {
        add_items(state, state->object, "['%.36s']");
    }
    type->tp_traverse(state->object, add_unnamed, state);
}

void gcctl_cycles_sample(const gcctl_object_set *unreachable, gcctl_answer *answer) {
    sampling state = {unreachable, answer, NULL, 0};
    for (int64_t index = 0; index < answer->candidates && index < SAMPLE; index++) {
        state.object = object_at(answer->candidate[index]);
        state.first_reference = answer->references;
        add_all(&state);
    }
}
