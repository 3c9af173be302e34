//! Queue records: enqueue, due index, claim, reschedule, bounce.
