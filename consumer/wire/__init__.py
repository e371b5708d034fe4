"""Between the messages of `schemas` and the values of `core`; no I/O, no decisions, no clock.

`state` reads and writes the records of the state topic (the quick way, since a restore reads one for every service),
`messages` makes commands, statuses and controls and understands results, `commands` and `controls` understand what
their names say, `decision` records a judgement with all its inputs and gives them back for a replay, `shapes` knows
how values of the core are spelled in JSON, `program` which version of this program that is.
"""
