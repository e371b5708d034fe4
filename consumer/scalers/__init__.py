"""How one trigger is judged: each scaler answers Yes, No or Unknown, with its evidence and its time.

Here live the `Scaler` contract, the built-in types, their registry, and the batching of queries. What may
not enter: cooldowns, replicas, or any combination of several triggers (that is `consumer.core`), and a
number in the place of "unknown". What a plug-in needs is exported here; `docs/howto-write-a-scaler.md` shows one.
"""

from consumer.core.answers import Answer, Evidence, No, Unknown, UnknownCause, Yes
from consumer.core.policy import Trigger
from consumer.core.readings import Failure, Question, Reading, Source
from consumer.ports import Scaler
from consumer.scalers.contract import Assignment, Defaults, Faults, Measure, ScalerType

__all__ = [
    "Answer",
    "Assignment",
    "Defaults",
    "Evidence",
    "Failure",
    "Faults",
    "Measure",
    "No",
    "Question",
    "Reading",
    "Scaler",
    "ScalerType",
    "Source",
    "Trigger",
    "Unknown",
    "UnknownCause",
    "Yes",
]
