# Stand-ins for functions of the module gc, and what they find out.
# Included by compiled.pyx.

from gcctl._interpreter.csrc cimport (
    PyCFunction, gcctl_stand_ins_calls, gcctl_stand_ins_made, gcctl_stand_ins_make,
    gcctl_stand_ins_switch, gcctl_stand_ins_undo, gcctl_with_arguments, gcctl_with_keywords,
)


cdef object on_explicit = None  # called for each gc.collect(); None: nobody wants to know
cdef object on_explicit_end = None
cdef object mark_explicit = None
cdef int freezes_of_others = 0


cdef object collect(PyObject *module, PyObject *const *arguments, Py_ssize_t number,
                    PyObject *names):
    """No frame of Python code of ours is there while finalizers run: they could see it."""
    cdef object begin = on_explicit, end = on_explicit_end, mark = mark_explicit
    if begin is None:
        return collect_originally(module, arguments, number, names)
    try:
        answer = begin(generation_of(arguments, number, names))
    except RecursionError:  # there is room for the original, but for nothing more
        return collect_originally(module, arguments, number, names)
    if type(answer) is int:
        return answer
    mark(True)
    try:
        return collect_originally(module, arguments, number, names)
    finally:
        mark(False)
        end(answer)


cdef object collect_originally(PyObject *module, PyObject *const *arguments, Py_ssize_t number,
                               PyObject *names):
    return (<with_keywords>gcctl_stand_ins_made.collect.original)(module, arguments, number, names)


cdef int generation_of(PyObject *const *arguments, Py_ssize_t number, PyObject *names) except? -2:
    """The generation that gc.collect() is asked for; -1: the original is to say what is wrong."""
    cdef object generation
    if names != NULL and (number != 0 or <object>names != ("generation",)):
        return -1
    if number == 0 and names == NULL:
        return 2
    generation = <object>arguments[0]
    if isinstance(generation, int) and 0 <= generation <= 2:
        return generation
    return -1


cdef object freeze(PyObject *module, PyObject *nothing):
    global freezes_of_others
    freezes_of_others += 1
    forget_parts()
    return (<with_object>gcctl_stand_ins_made.freeze.original)(module, nothing)


cdef object unfreeze(PyObject *module, PyObject *nothing):
    forget_parts()
    return (<with_object>gcctl_stand_ins_made.unfreeze.original)(module, nothing)


cdef object get_freeze_count(PyObject *module, PyObject *nothing):
    cdef Loan loan
    lend(&loan, True)
    try:
        return (<with_object>gcctl_stand_ins_made.get_freeze_count.original)(module, nothing)
    finally:
        take_again(&loan)


cdef object get_objects(PyObject *module, PyObject *const *arguments, Py_ssize_t number,
                        PyObject *names):
    cdef Loan loan
    lend(&loan, False)
    try:
        found = (<with_keywords>gcctl_stand_ins_made.get_objects.original)(
            module, arguments, number, names)
    finally:
        take_again(&loan)
    if type(found) is list:
        without_markers(<list>found, 2 * loan.parts)
    return found


cdef int without_markers(list objects, Py_ssize_t left) except -1:
    """`left`: how many there may be. They are near the end, where what was lent is."""
    cdef Py_ssize_t index = len(objects) - 1
    while index >= 0 and left > 0:
        if type(objects[index]) is Marker:
            del objects[index]
            left -= 1
        index -= 1
    return 0


cdef object get_referrers(PyObject *module, PyObject *objects):
    cdef Loan loan
    lend(&loan, True)
    try:
        return (<with_object>gcctl_stand_ins_made.get_referrers.original)(module, objects)
    finally:
        take_again(&loan)


cdef object get_referrers_fast(PyObject *module, PyObject *const *objects, Py_ssize_t number):
    cdef Loan loan
    lend(&loan, True)
    try:
        return (<with_arguments>gcctl_stand_ins_made.get_referrers.original)(
            module, objects, number)
    finally:
        take_again(&loan)


def stand_in(begin, end, mark):
    """Exchange the functions.

    `begin(generation)` is called before each gc.collect(); the generation is -1 where the arguments
    are wrong. Where it returns a number, gc.collect() returns that, and nothing is collected. Else
    `mark(True)` is called, the original, `mark(False)` and `end()` with what `begin` returned.

    Where one takes its arguments in another way than expected, none is exchanged. Nor is anything
    frozen from then on, because that one would not see it.
    """
    global on_explicit, on_explicit_end, mark_explicit, refused_function
    cdef gcctl_stand_ins_calls calls
    calls.collect = <gcctl_with_keywords>collect
    calls.get_objects = <gcctl_with_keywords>get_objects
    calls.freeze = <PyCFunction>freeze
    calls.unfreeze = <PyCFunction>unfreeze
    calls.get_freeze_count = <PyCFunction>get_freeze_count
    calls.get_referrers = <PyCFunction>get_referrers
    calls.get_referrers_fast = <gcctl_with_arguments>get_referrers_fast
    cdef const char *refused = gcctl_stand_ins_make(<PyObject *>fresh_gc)
    if refused != NULL:
        gcctl_stand_ins_undo()
        refused_function = refused.decode()
        examine_layout()
        return
    on_explicit_end, mark_explicit = end, mark
    on_explicit = begin
    gcctl_stand_ins_switch(True, &calls)


def stand_down():
    """Put the originals back. Returns False where somebody has exchanged one of them since."""
    global on_explicit, on_explicit_end, mark_explicit
    gcctl_stand_ins_switch(False, NULL)
    # Nothing in C may keep objects of the program alive: they would not be finalized at its end.
    on_explicit = on_explicit_end = mark_explicit = None
    return gcctl_stand_ins_undo()


def frozen_objects():
    """The number of frozen objects, gcctl's and its markers among them. Takes time for each."""
    if not gcctl_stand_ins_made.get_freeze_count.made:
        return fresh_gc.get_freeze_count()
    return (<with_object>gcctl_stand_ins_made.get_freeze_count.original)(NULL, NULL)


def freezes():
    """How often others have called gc.freeze() since the import."""
    return freezes_of_others
