"""Takes the records of a run in, one by one, and keeps of each what the rules need."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from consumer.checker.facts import Column, Lane, Marks, Owner, Page, Step, millis
from consumer.checker.inputs import Inputs
from consumer.checker.reading import (
    are_requests,
    command_fact,
    decision_fact,
    owner_of,
    place_of,
    state_fact,
    step_of,
)
from consumer.checker.records import GROUP, OFFSETS, Record
from consumer.checker.repeating import Repeater
from consumer.checker.verdict import Place, Rule, Violation
from schemas.cloudevents import header
from schemas.codec import Undecodable, decode
from schemas.control import Control
from schemas.decision import Decision
from schemas.judged import Policy
from schemas.message import Message
from schemas.scale_command import ScaleCommand
from schemas.service_status import ServiceStatus
from schemas.state import ServiceState
from schemas.topics import Topic

M = TypeVar("M", bound=Message)
_Policies = dict[tuple[str, str, str], Policy]
_Takers = Mapping[str, Callable[[Record], None]]
POLICY, AROUND, SHOWN = "policy", "around", "shown"
"""Whose word on the mode a step is: the policy's, that of a decision's surroundings, or that of a status."""


@dataclass(frozen=True, slots=True)
class Switched:
    """A record of the control topic: what is switched for a scope from then on (None: nothing)."""

    place: Place
    scope: str
    control: Control | None


@dataclass(slots=True)
class Collected:
    """Everything that is kept of a run."""

    pages: dict[str, Page] = field(default_factory=dict)
    lanes: dict[tuple[str, int], Lane] = field(default_factory=dict)
    owners: dict[int, list[Owner]] = field(default_factory=dict)
    """Per partition of the states: each change of who writes it, in the order of the log."""
    reads: dict[tuple[str, str, int], Column] = field(default_factory=dict)
    """By (who tells, topic, partition): from when on the requests up to an offset had been read."""
    switches: list[Switched] = field(default_factory=list)
    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    records: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    last: datetime | None = None
    cluster: str | None = None

    def page(self, service: str) -> Page:
        """Return the page of a service, a new one for a new service."""
        page = self.pages.get(service)
        if page is None:
            page = self.pages[service] = Page(service)
        return page

    def lane(self, record: Record) -> Lane:
        """Return the partition that a record stands in."""
        return self.lanes[record.topic, record.partition]


class Collector:
    """Takes records in; each partition of a topic in the order of its offsets, topics in any order."""

    def __init__(self) -> None:
        self.collected = Collected()
        self.inputs = Inputs(self.collected.page, self.collected.lane)
        self.repeater = Repeater()
        self._policies: _Policies = {}
        self._takers: _Takers = {
            Topic.REQUEST_COUNTS: self.inputs.request,
            Topic.HOSTS: self.inputs.host,
            Topic.SCALE_RESULTS: self.inputs.result,
            Topic.DEAD_LETTER: self.inputs.letter,
            Topic.SCALE_COMMANDS: self._command,
            Topic.DECISIONS: self._decision,
            Topic.STATE: self._state,
            Topic.SERVICE_STATUS: self._status,
            Topic.CONTROL: self._control,
        }

    def take(self, record: Record) -> None:
        """Take one record in."""
        self.collected.records[record.topic] += 1
        if record.topic == OFFSETS:
            self._offsets(record)
            return
        if not self._placed(record):
            return
        taker = self.inputs.request if are_requests(record.topic) else self._takers.get(record.topic)
        if taker is None:
            self._broken(record, "its topic is none of ours")
            return
        taker(record)

    def _placed(self, record: Record) -> bool:
        """Note where the record stands; False when it was taken in already."""
        place, at = (record.topic, record.partition), record.time
        if self.collected.last is None or at > self.collected.last:
            self.collected.last = at
        lane = self.collected.lanes.get(place)
        if lane is None:
            self.collected.lanes[place] = Lane(record.offset, record.offset, at, at, 1)
            return True
        if record.offset <= lane.last:
            return False
        lane.last, lane.ended = record.offset, at
        lane.count += 1
        return True

    def _offsets(self, record: Record) -> None:
        digits = (record.value or b"").decode(errors="replace")
        group = (header(record.headers, GROUP) or b"").decode(errors="replace")
        topic = (record.key or b"").decode(errors="replace")
        if digits.isdigit() and (topic in self._takers or are_requests(topic)):
            self.collected.committed[topic, record.partition] = int(digits)
        elif group:
            self._broken(record, f"the offset of {group} is not a number")

    def _read(self, kind: type[M], record: Record) -> M | None:
        message = decode(kind, record.value)
        if isinstance(message, Undecodable):
            self._broken(record, message.cause)
            return None
        if self.collected.cluster is None:
            self.collected.cluster = message.cluster
        return message

    def _broken(self, record: Record, why: str) -> None:
        service = (record.key or b"").decode(errors="replace")
        place = place_of(record)
        self.collected.violations.append(
            Violation(Rule.READABLE, service, f"the record at {place} can not be read: {why}", (place,))
        )

    def _command(self, record: Record) -> None:
        message = decode(ScaleCommand, record.value)
        if isinstance(message, Undecodable):
            # The handler puts it to the dead letters; whether it did is judged like that of the inputs.
            self.collected.lane(record).poisons.append(record.offset)
            return
        self.collected.page(f"{message.namespace}/{message.service}").commands.append(command_fact(record, message))

    def _decision(self, record: Record) -> None:
        message = self._read(Decision, record)
        if message is None:
            return
        service, inputs = f"{message.namespace}/{message.service}", message.inputs
        page = self.collected.page(service)
        if inputs.policy is not None:
            self._policies[service, inputs.policy.uid, inputs.policy.hash] = inputs.policy
        known = self._policies.get((service, inputs.policy_uid or "", inputs.policy_hash or ""))
        fact = decision_fact(record, message, known)
        page.decisions.append(fact)
        self._read_up_to(record, fact.before or ())
        _stepped(page, AROUND, Step(record.time, inputs.surroundings.mode.value, None))
        self.repeater.take(message, record, place_of(record))

    def _state(self, record: Record) -> None:
        if record.value is None:
            self._forgotten(record)
            return
        message = self._read(ServiceState, record)
        if message is None:
            return
        service = f"{message.namespace}/{message.service}"
        page, fact = self.collected.page(service), state_fact(record, message)
        self._read_up_to(record, fact.marks)
        page.state = fact
        page.states += 1
        _stepped(page, POLICY, step_of(record, message))
        if fact.has_policy and (not page.seen or (page.gone and page.seen[-1] < page.gone[-1])):
            page.seen.append(record.time)
        owner = owner_of(record)
        if owner is None:
            return
        self._owned(record.partition, owner)
        if not page.seqs or page.seqs[-1][0] != fact.seq:
            page.seqs.append((fact.seq, owner))

    def _forgotten(self, record: Record) -> None:
        """A tombstone ends a life; the one under the key that no service has only asks for the time."""
        name = (record.key or b"").decode(errors="replace")
        if name.startswith("/"):
            return
        page = self.collected.page(name)
        page.state = None
        page.gone.append(record.time)

    def _owned(self, partition: int, owner: Owner) -> None:
        known = self.collected.owners.setdefault(partition, [])
        if not known or known[-1].name != owner.name:
            known.append(owner)

    def _read_up_to(self, record: Record, marks: Marks) -> None:
        """Note how far requests had been read at the latest when this was written, of whichever service it is."""
        for topic, partition, offset in marks:
            if are_requests(topic):
                column = self.collected.reads.setdefault((record.topic, topic, partition), Column())
                column.add(millis(record.time), offset, 0)

    def _status(self, record: Record) -> None:
        if record.value is None:
            page = self.collected.pages.get((record.key or b"").decode(errors="replace"))
            if page is not None:
                page.status = None
            return
        message = self._read(ServiceStatus, record)
        if message is None:
            return
        page = self.collected.page(f"{message.namespace}/{message.service}")
        page.status = (place_of(record), message.desired, message.replicas, message.mode.value)
        _stepped(page, SHOWN, Step(record.time, message.mode.value, None))

    def _control(self, record: Record) -> None:
        message = self._read(Control, record) if record.value is not None else None
        scope = message.scope if message is not None else (record.key or b"").decode(errors="replace")
        self.collected.switches.append(Switched(place_of(record), scope, message))


def _stepped(page: Page, source: str, step: Step) -> None:
    steps = page.steps.setdefault(source, [])
    if not steps or steps[-1][1:] != step[1:]:
        steps.append(step)
