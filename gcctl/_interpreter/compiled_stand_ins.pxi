# Stand-ins for functions of the module gc, and what they find out.
# Included by compiled.pyx.

from gcctl._interpreter.csrc cimport (
    PyCFunction, gcctl_exchange, gcctl_exchange_make, gcctl_exchange_undo,
)


cdef extern from "Python.h":
    ctypedef struct PyInterpreterState:
        pass

    enum:
        METH_NOARGS
        METH_VARARGS
        METH_FASTCALL
        METH_KEYWORDS

    PyInterpreterState *PyInterpreterState_Get()


cdef gcctl_exchange of_collect, of_freeze, of_unfreeze
cdef gcctl_exchange of_get_freeze_count, of_get_objects, of_get_referrers

cdef PyInterpreterState *own_interpreter = NULL
cdef bint standing_in = False
cdef object on_explicit = None  # called for each gc.collect(); None: nobody wants to know
cdef object on_explicit_end = None
cdef object mark_explicit = None
cdef int freezes_of_others = 0


cdef inline bint for_us() noexcept:
    """Not in another interpreter, which has its own lists and shares the builtins' C functions."""
    return standing_in and PyInterpreterState_Get() == own_interpreter


cdef object collect(PyObject *module, PyObject *const *arguments, Py_ssize_t number,
                    PyObject *names):
    if on_explicit is None or not for_us():
        return (<with_keywords>of_collect.original)(module, arguments, number, names)
    return collect_explicitly(module, arguments, number, names)


cdef object collect_explicitly(PyObject *module, PyObject *const *arguments, Py_ssize_t number,
                               PyObject *names):
    """No frame of Python code of ours is there while finalizers run: they could see it."""
    cdef object end = on_explicit_end, mark = mark_explicit
    answer = on_explicit(generation_of(arguments, number, names))
    if type(answer) is int:
        return answer
    mark(True)
    try:
        return (<with_keywords>of_collect.original)(module, arguments, number, names)
    finally:
        mark(False)
        end(answer)


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
    if for_us():
        freezes_of_others += 1
        forget_parts()
    return (<with_object>of_freeze.original)(module, nothing)


cdef object unfreeze(PyObject *module, PyObject *nothing):
    if for_us():
        forget_parts()
    return (<with_object>of_unfreeze.original)(module, nothing)


cdef object get_freeze_count(PyObject *module, PyObject *nothing):
    cdef Loan loan
    if not for_us() or not frozen_parts:
        return (<with_object>of_get_freeze_count.original)(module, nothing)
    lend(&loan, True)
    try:
        return (<with_object>of_get_freeze_count.original)(module, nothing)
    finally:
        take_again(&loan)


cdef object get_objects(PyObject *module, PyObject *const *arguments, Py_ssize_t number,
                        PyObject *names):
    cdef Loan loan
    if not for_us() or not frozen_parts:
        return (<with_keywords>of_get_objects.original)(module, arguments, number, names)
    lend(&loan, False)
    try:
        found = (<with_keywords>of_get_objects.original)(module, arguments, number, names)
    finally:
        take_again(&loan)
    if type(found) is list:
        without_markers(<list>found, 2 * lent_parts(&loan))
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
    if not for_us() or not frozen_parts:
        return (<with_object>of_get_referrers.original)(module, objects)
    lend(&loan, True)
    try:
        return (<with_object>of_get_referrers.original)(module, objects)
    finally:
        take_again(&loan)


cdef object get_referrers_fast(PyObject *module, PyObject *const *objects, Py_ssize_t number):
    cdef Loan loan
    if not for_us() or not frozen_parts:
        return (<with_arguments>of_get_referrers.original)(module, objects, number)
    lend(&loan, True)
    try:
        return (<with_arguments>of_get_referrers.original)(module, objects, number)
    finally:
        take_again(&loan)


def stand_in(begin, end, mark):
    """Exchange the functions.

    `begin(generation)` is called before each gc.collect(); the generation is -1 where the arguments
    are wrong. Where it returns a number, gc.collect() returns that, and nothing is collected. Else
    `mark(True)` is called, the original, `mark(False)` and `end()` with what `begin` returned.

    Returns the names of the functions that could not be exchanged.
    """
    global own_interpreter, standing_in, on_explicit, on_explicit_end, mark_explicit
    cdef int fast = METH_FASTCALL | METH_KEYWORDS
    cdef dict made = {}
    own_interpreter = PyInterpreterState_Get()
    made["collect"] = make(&of_collect, gc_collect, <PyCFunction>collect, fast)
    made["freeze"] = make(&of_freeze, gc_freeze, <PyCFunction>freeze, METH_NOARGS)
    made["unfreeze"] = make(&of_unfreeze, gc_unfreeze, <PyCFunction>unfreeze, METH_NOARGS)
    made["get_freeze_count"] = make(&of_get_freeze_count, gc_get_freeze_count,
                                    <PyCFunction>get_freeze_count, METH_NOARGS)
    made["get_objects"] = make(&of_get_objects, gc_get_objects, <PyCFunction>get_objects, fast)
    made["get_referrers"] = (
        make(&of_get_referrers, gc_get_referrers, <PyCFunction>get_referrers, METH_VARARGS)
        or make(&of_get_referrers, gc_get_referrers, <PyCFunction>get_referrers_fast,
                METH_FASTCALL))
    on_explicit_end, mark_explicit = end, mark
    on_explicit = begin
    standing_in = True
    return [name for name in made if not made[name]]


def stand_down():
    """Put the originals back. Returns False where somebody has exchanged one of them since."""
    global standing_in, on_explicit, on_explicit_end, mark_explicit
    standing_in = False
    # Nothing in C may keep objects of the program alive: they would not be finalized at its end.
    on_explicit = on_explicit_end = mark_explicit = None
    cdef bint undone = gcctl_exchange_undo(&of_collect)
    undone &= gcctl_exchange_undo(&of_freeze)
    undone &= gcctl_exchange_undo(&of_unfreeze)
    undone &= gcctl_exchange_undo(&of_get_freeze_count)
    undone &= gcctl_exchange_undo(&of_get_objects)
    undone &= gcctl_exchange_undo(&of_get_referrers)
    return undone


def frozen_objects():
    """The number of frozen objects, gcctl's and its markers among them. Takes time for each."""
    if not of_get_freeze_count.made:
        return gc_get_freeze_count()
    return (<with_object>of_get_freeze_count.original)(NULL, NULL)


def freezes():
    """How often others have called gc.freeze() since the import."""
    return freezes_of_others


cdef bint make(gcctl_exchange *exchange, object builtin, PyCFunction ours, int flags):
    return gcctl_exchange_make(exchange, <PyObject *>builtin, ours, flags)
