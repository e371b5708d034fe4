"""Whether a recorded run kept what the design promises, judged from its topics alone.

`Checker` takes the records of a run in, one by one, keeps little of each, and gives a `Verdict`; `check` does both.
The rules are written from the design, on the messages of `schemas`: of the code that they judge only the repetition of
decisions (`repeating`) knows anything, since that is what it is about. Nothing here reads a clock, a log or the
network; the files of recorded runs (`files`) are the one thing that is read and written.
"""

from consumer.checker.check import Checker, check
from consumer.checker.files import RecordingError, Writing, load, saved
from consumer.checker.records import GROUP, OFFSETS, Record, Recording
from consumer.checker.verdict import (
    MEANING,
    Expectations,
    Figures,
    Outage,
    Place,
    Rule,
    Verdict,
    Violation,
)

__all__ = [
    "GROUP",
    "MEANING",
    "OFFSETS",
    "Checker",
    "Expectations",
    "Figures",
    "Outage",
    "Place",
    "Record",
    "Recording",
    "RecordingError",
    "Rule",
    "Verdict",
    "Violation",
    "Writing",
    "check",
    "load",
    "saved",
]
