"""The pure core: what is known of a service, and what should be done about it.

Everything here is a value or a function of its arguments. It may import the
standard library's values (``dataclasses``, ``datetime``, ``enum``, ``math``,
``typing``, ``zoneinfo`` and their like) and its own siblings, nothing else.

What may not enter: ``async``, threads, files, sockets, the environment, any
clock (time is an argument called ``now``, aware and UTC), randomness, logging,
metrics, the wire messages of ``schemas``, vendor packages, and ``dict`` or
``Any`` in place of a value with a name. The one thing that is read from
outside is the time zone database, through ``zoneinfo``, when a schedule that
names a zone is parsed.

So a decision can be repeated from the log that recorded its inputs, judged
against another policy, and tested without anything running.
"""
