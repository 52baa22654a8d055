# What gcctl has frozen, apart from what others have.
# Included by compiled.pyx.

from libc.stdint cimport int64_t

from gcctl._interpreter.csrc cimport (
    gcctl_frozen_append, gcctl_frozen_give_back, gcctl_frozen_is_last, gcctl_frozen_length,
    gcctl_frozen_lists, gcctl_frozen_markers, gcctl_frozen_take_again, gcctl_gc_calls_find,
    gcctl_gc_calls_freeze, gcctl_gc_calls_unfreeze, gcctl_gc_links,
    gcctl_gc_lists_are_as_expected, gcctl_gc_lists_find, gcctl_gc_lists_head,
    gcctl_gc_lists_next, gcctl_gc_lists_permanent, gcctl_gc_lists_previous,
)


cdef extern from "Python.h":
    void PyObject_GC_Track(PyObject *object)
    void PyObject_GC_UnTrack(PyObject *object)
    bint PyObject_GC_IsTracked(PyObject *object)


gcctl_gc_calls_find()

cdef object gc_get_threshold = gc.get_threshold
cdef object gc_set_threshold = gc.set_threshold

cdef gcctl_frozen_lists lists
cdef const gcctl_gc_links *first_list = NULL  # head of generation 0's; NULL: not found
cdef str layout_problem = "the collector's lists were not examined"
cdef str refused_function = ""  # of the module gc: it could not be given a stand-in
cdef list frozen_parts = []  # those that are there, in their order in the permanent generation


def examine_layout():
    """Find the collector's lists. Returns why objects cannot be relinked; "": they can be."""
    global first_list, layout_problem
    cdef int[3] wanted
    cdef tuple found = gc_get_threshold()
    wanted[0], wanted[1], wanted[2] = 700_001, 70_001, 7_001  # numbers that stand nowhere by chance
    first_list = gcctl_gc_lists_find()
    if refused_function:
        layout_problem = f"gc.{refused_function}() is not what it is in the CPythons known"
        return layout_problem
    layout_problem = "the collector's lists are not where they are in the CPythons known"
    if first_list == NULL:
        return layout_problem
    gc_set_threshold(wanted[0], wanted[1], wanted[2])
    try:
        if not gcctl_gc_lists_are_as_expected(first_list, wanted):
            return layout_problem
    finally:
        gc_set_threshold(*found)
    lists.oldest = <gcctl_gc_links *>gcctl_gc_lists_head(first_list, 2)
    lists.permanent = <gcctl_gc_links *>gcctl_gc_lists_permanent(first_list)
    layout_problem = ""
    return ""


def layout():
    """What `examine_layout()` has found last, or what was found since."""
    return examine_layout() if first_list == NULL else layout_problem


@cython.internal
cdef class Marker:
    """Marks where a part of the permanent generation begins or ends. Its attribute is there so that
    the collector tracks it."""
    cdef object nothing


@cython.final
cdef class Frozen:
    """A part of the permanent generation: what gcctl has frozen for one purpose."""

    cdef Marker first
    cdef Marker last
    cdef bint own  # objects that would not be there without gcctl
    cdef int64_t lent  # the number of the loan; 0: not lent
    cdef int64_t length  # when it was lent

    def __cinit__(self):
        self.own = False
        self.first = Marker()
        self.last = Marker()
        PyObject_GC_UnTrack(<PyObject *>self.first)
        PyObject_GC_UnTrack(<PyObject *>self.last)

    @property
    def there(self):
        """Whether anything is frozen as this part. Not where somebody else has frozen or thawed
        since: then all that is frozen counts as theirs."""
        note_others()
        return self in frozen_parts

    def keep(self, prepare=None):
        """Call `prepare()`, and freeze all that is in generations 0 to 2 then, as a part of this.

        Nothing comes in between if `prepare` is a function in C. Returns False where the layout is
        not known. Then nothing is frozen.
        """
        cdef const gcctl_gc_links *end
        if layout_problem:
            return False
        if prepare is not None:
            prepare()
        note_others()
        if frozen_parts and frozen_parts[-1] is not self:
            self._give_back()  # it is to be the last part
        if self not in frozen_parts:
            append(<PyObject *>self.first)
            frozen_parts.append(self)
        end = end_of_generations()
        gcctl_gc_calls_freeze()
        if end != NULL and gcctl_gc_lists_previous(lists.permanent) != end:
            refuse_layout()
            return False
        append(<PyObject *>self.last)
        return True

    def keep_these(self, list objects, Py_ssize_t frozen):
        """Freeze these objects of gcctl itself, and the list. Returns False where the layout is not
        known, and where more than so many objects are frozen: somebody has frozen these too then.
        """
        if layout_problem or more_are_frozen(frozen):
            return False
        self.own = True
        note_others()
        self._give_back()
        append(<PyObject *>self.first)
        for thing in objects:
            if PyObject_GC_IsTracked(<PyObject *>thing):
                gcctl_frozen_append(&lists, <PyObject *>thing)
        append(<PyObject *>objects)
        append(<PyObject *>self.last)
        frozen_parts.append(self)
        return True

    def give_back(self):
        """Thaw this part, and nothing else, into generation 2. Returns whether there was one."""
        note_others()
        return self._give_back()

    cdef bint _give_back(self):
        if self not in frozen_parts:
            return False
        gcctl_frozen_give_back(&lists, self.markers())
        frozen_parts.remove(self)
        self.hide()
        return True

    cdef gcctl_frozen_markers markers(self):
        return gcctl_frozen_markers(<PyObject *>self.first, <PyObject *>self.last)

    cdef void hide(self):
        """Nobody sees the markers while they mark nothing."""
        PyObject_GC_UnTrack(<PyObject *>self.first)
        PyObject_GC_UnTrack(<PyObject *>self.last)


cdef bint more_are_frozen(Py_ssize_t number):
    cdef const gcctl_gc_links *links = gcctl_gc_lists_next(lists.permanent)
    while links != lists.permanent and number >= 0:
        links = gcctl_gc_lists_next(links)
        number -= 1
    return number < 0


cdef void append(PyObject *object) noexcept:
    """To the end of the permanent generation."""
    if not PyObject_GC_IsTracked(object):
        PyObject_GC_Track(object)
    gcctl_frozen_append(&lists, object)


cdef const gcctl_gc_links *end_of_generations():
    """The object that gc.freeze() makes the last one; NULL: there is none."""
    cdef int generation
    cdef const gcctl_gc_links *head
    for generation in range(2, -1, -1):
        head = gcctl_gc_lists_head(first_list, generation)
        if gcctl_gc_lists_previous(head) != head:
            return gcctl_gc_lists_previous(head)
    return NULL


cdef int refuse_layout() except -1:
    """gc.freeze() did something else than on the CPythons known: undo it, and never do it again."""
    global layout_problem
    layout_problem = "gc.freeze() does something else than on the CPythons known"
    forget_parts()
    gcctl_gc_calls_unfreeze()


cdef void forget_parts():
    """All that is frozen is somebody else's now, or thawed."""
    cdef Frozen part
    for part in frozen_parts:
        part.lent = 0
        part.hide()
    frozen_parts.clear()


cdef int note_others() except -1:
    """Has somebody else frozen or thawed since? Their stand-ins tell; so do the lists."""
    end_loans()
    if frozen_parts and not gcctl_frozen_is_last(
            &lists, <PyObject *>(<Frozen>frozen_parts[-1]).last):
        forget_parts()


ctypedef struct Loan:
    # What gcctl has frozen is in generation 2 while somebody else goes through the generations. No
    # object may be made for this: it would be seen.
    int64_t number
    int parts


cdef int64_t loans = 0


cdef int lend(Loan *loan, bint own_too) except -1:
    global loans
    cdef Frozen part
    note_others()
    loans += 1
    loan.number = loans
    loan.parts = 0
    for part in frozen_parts:
        if own_too or not part.own:
            part.lent = loans
            part.length = gcctl_frozen_length(part.markers())
            gcctl_frozen_give_back(&lists, part.markers())
            loan.parts += 1


cdef int take_again(Loan *loan) except -1:
    """An audit hook of the program, and in it other threads, may have done anything meanwhile.

    A part is taken again if it lies in one piece between its markers, as it did. Else it is thawed.
    """
    cdef Py_ssize_t index = 0, left = len(frozen_parts)
    cdef Frozen part
    while left > 0:
        part = frozen_parts[index]
        left -= 1
        if part.lent != loan.number:
            index += 1
            continue
        part.lent = 0
        frozen_parts.remove(part)
        if gcctl_frozen_length(part.markers()) == part.length:
            gcctl_frozen_take_again(&lists, part.markers())
            frozen_parts.append(part)  # it is the last one now
        else:
            part.hide()


cdef int end_loans() except -1:
    """Somebody needs to know what is frozen. What is lent at this moment is thawed."""
    cdef Py_ssize_t index = 0
    cdef Frozen part
    while index < len(frozen_parts):
        part = frozen_parts[index]
        if part.lent:
            part.lent = 0
            frozen_parts.remove(part)
            part.hide()
        else:
            index += 1
