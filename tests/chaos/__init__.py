"""The chaos runner: a seeded plan of traffic and faults on real servers and real processes, and a judge afterwards.

`python -m tests.chaos --seed N`. What may not enter: chance that is not drawn from the seed while the plan is made,
and knowledge of how the system works inside. It judges by what was promised, seen from outside.
"""
