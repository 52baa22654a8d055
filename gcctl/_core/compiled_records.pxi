# The counters of csrc/ as the records of records.py.
# Included by compiled.pyx.

from libc.stdint cimport int64_t

from gcctl._core.csrc cimport (
    GCCTL_GENERATIONS, GCCTL_HISTOGRAM_BUCKETS, GCCTL_REASONS, GCCTL_RING_SIZE, gcctl_event,
    gcctl_recorder, gcctl_slot, gcctl_totals,
)

from gcctl._core.records import REASONS, ByReason, Event, GenerationTotals, LastMinute, Tally


cdef object event_as_tuple(const gcctl_event *event):
    return Event(event.time_ns, event.pause_ns, event.generation, event.collected,
                 REASONS[event.reason], event.in_flight)


cdef object events_as_tuple(const gcctl_recorder *recorder):
    """The last events, oldest first. The recorder is a copy: a collection may run meanwhile."""
    cdef int64_t number
    return tuple([event_as_tuple(&recorder.ring[number % GCCTL_RING_SIZE])
                  for number in range(max(0, recorder.written - GCCTL_RING_SIZE),
                                      recorder.written)])


cdef object totals_as_tuple(const gcctl_totals *totals):
    cdef int bucket
    return GenerationTotals(
        totals.collections,
        totals.collected,
        totals.pause_total_ns,
        totals.pause_max_ns,
        tuple([(bucket, totals.pauses.count[bucket])
               for bucket in range(GCCTL_HISTOGRAM_BUCKETS) if totals.pauses.count[bucket]]),
    )


cdef object generations_as_tuple(const gcctl_recorder *recorder):
    cdef int index
    return tuple([totals_as_tuple(&recorder.generation[index])
                  for index in range(GCCTL_GENERATIONS)])


cdef object by_reason_as_tuple(const gcctl_recorder *recorder):
    cdef int index
    return ByReason(*[recorder.by_reason[index] for index in range(GCCTL_REASONS)])


cdef object tallies_as_tuple(const gcctl_recorder *recorder):
    cdef int index
    return tuple([Tally(recorder.tally[index].collections,
                        recorder.tally[index].collected,
                        recorder.tally[index].pause_total_ns)
                  for index in range(GCCTL_GENERATIONS)])


cdef object last_minute_as_tuple(const gcctl_slot *minute):
    cdef int index
    return LastMinute(tuple([minute.collections[index] for index in range(GCCTL_GENERATIONS)]),
                      totals_as_tuple(&minute.all))
