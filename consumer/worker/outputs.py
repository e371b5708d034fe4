"""What a partition writes, as records: every message with its key, its partition and its headers."""

from datetime import datetime
from itertools import count

from consumer.core.outcome import Command, Outcome
from consumer.core.policy import Policy
from consumer.core.replay import Judged
from consumer.core.service import Mode, ServiceKey
from consumer.core.state import ServiceState
from consumer.ports import Output
from consumer.wire.decision import decision_message
from consumer.wire.messages import command_message, status_message
from consumer.wire.program import PROGRAM
from consumer.wire.state import state_to_bytes
from consumer.worker.intake import Poison, Stray
from consumer.worker.settings import WorkerSettings
from schemas.cloudevents import PROGRAM as PROGRAM_HEADER
from schemas.cloudevents import CloudEvent, EventType, Headers, source
from schemas.dead_letter import DeadLetter, kept_key
from schemas.origin import Origin
from schemas.topics import Topic

_ROLE = "worker"
_WRITER = ((PROGRAM_HEADER, PROGRAM.encode()),)


class Outputs:
    """Makes the records of one partition's owner; `owner` makes the ids of statuses and states unique."""

    def __init__(self, settings: WorkerSettings, partition: int, owner: str) -> None:
        self._settings = settings
        self._partition = partition
        self._owner = owner
        self._source = source(settings.cluster, _ROLE)
        self._counter = count(1)

    def command(self, command: Command) -> Output:
        """Ask the handler."""
        headers = self._event(EventType.SCALE_COMMAND, command.key, command.id, command.decided_at, command.trace)
        value = command_message(command, self._settings.cluster).encode()
        return self._output(Topic.SCALE_COMMANDS, command.key, value, headers)

    def decision(self, judged: Judged, outcome: Outcome, *, policy_is_new: bool) -> Output:
        """Say what was decided, from what."""
        key = judged.state.key
        headers = self._event(EventType.DECISION, key, outcome.decision_id, judged.now)
        message = decision_message(judged, outcome, self._settings.cluster, policy_is_new=policy_is_new)
        return self._output(Topic.DECISIONS, key, message.encode(), (*headers, *_WRITER))

    def state(self, state: ServiceState, now: datetime) -> Output:
        """Keep what is known for the next owner."""
        headers = self._event(EventType.STATE, state.key, f"{self._owner}/{next(self._counter)}", now)
        return self._output(Topic.STATE, state.key, state_to_bytes(state, self._settings.cluster), headers)

    def status(self, state: ServiceState, policy: Policy, mode: Mode, now: datetime) -> Output | None:
        """Tell everyone the present of a service; None before its first decision."""
        message = status_message(state, policy, mode, self._settings.cluster)
        if message is None:
            return None
        headers = self._event(EventType.SERVICE_STATUS, state.key, f"{self._owner}/{next(self._counter)}", now)
        return self._output(Topic.SERVICE_STATUS, state.key, message.encode(), headers)

    def forgotten(self, key: ServiceKey) -> tuple[Output, Output]:
        """Tombstones: this service is no affair of ours any more."""
        return self._output(Topic.STATE, key, None, ()), self._output(Topic.SERVICE_STATUS, key, None, ())

    def probe(self) -> Output:
        """A tombstone under a key that no service has: its append time tells what time it is at the broker."""
        return Output(self._settings.topic(Topic.STATE), self._partition, b"/clock", None)

    def dead_letter(self, poison: Poison) -> Output:
        """Keep what can not be used for people."""
        record = poison.record
        letter = DeadLetter(poison.cause, record.topic, record.partition, record.offset, record.at, record.value)
        return Output(
            self._settings.topic(Topic.DEAD_LETTER), 0, kept_key(record.key), letter.value(), letter.headers()
        )

    def _event(
        self, kind: EventType, key: ServiceKey, identity: str, now: datetime, trace: str | None = None
    ) -> Headers:
        return CloudEvent(kind, identity, self._source, str(key), now, trace).headers()

    def _output(self, topic: Topic, key: ServiceKey, value: bytes | None, headers: Headers) -> Output:
        return Output(self._settings.topic(topic), self._partition, bytes(key), value, headers)


def forward(stray: Stray) -> Output:
    """Return the record as it goes to its right partition, with its origin."""
    record = stray.record
    origin = Origin(record.topic, record.partition, record.offset, record.at)
    return Output(record.topic, stray.partition, stray.key, record.value, (*record.headers, *origin.headers()))
