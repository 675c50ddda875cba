"""What the tests of jobs share: a generator's events and what it returns."""

from __future__ import annotations


def listen(steps, react=lambda event: None):
    """Return all events of a job and its result; ``react`` sees each event as it comes."""
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value
        react(events[-1])
