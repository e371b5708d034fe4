"""Carries commands out: precondition, one conditional call, and a result that says what came of it.

Here live ordering by sequence number, superseding, bounded parallelism with wakes first, and back-off.
What may not enter: deciding whether a service should sleep or wake (that is `consumer.core`), vendor types
(they stay behind the `Target` port), and calls that could overwrite somebody else's change.
"""
