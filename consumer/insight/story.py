"""The story of one service: its decisions, commands and results with their places in the log, read from the topics."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar

from consumer.core.answers import Answers
from consumer.core.control import Control, Controls
from consumer.core.inputs import RecordCause
from consumer.core.observe import observe
from consumer.core.policy import Policy
from consumer.core.service import ServiceKey
from consumer.core.state import ServiceState
from consumer.ports import LogReader, Record
from consumer.wire.controls import switched
from consumer.wire.decision import Logged, logged_from
from consumer.wire.messages import result_seen
from consumer.wire.state import state_from_bytes
from schemas.codec import Undecodable, decode
from schemas.decision import Decision
from schemas.message import Message
from schemas.scale_command import ScaleCommand
from schemas.scale_result import ScaleResult
from schemas.topics import Topic

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Noted(Generic[M]):
    """A message and where it stands; `at` is its append time."""

    message: M
    origin: RecordCause
    at: datetime

    @property
    def place(self) -> str:
        """Where it stands, as people write it."""
        return str(self.origin)


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the log knows of one service, each kind in the order of the log; `state` None: never seen."""

    key: ServiceKey
    decisions: Sequence[Noted[Decision]] = ()
    commands: Sequence[Noted[ScaleCommand]] = ()
    results: Sequence[Noted[ScaleResult]] = ()
    state: ServiceState | None = None
    controls: Controls = field(default_factory=Controls)

    def seen(self) -> ServiceState | None:
        """The state with all results folded in, also those that its owner has not read or written down yet."""
        if self.state is None:
            return None
        state = self.state
        for noted in self.results:
            state = observe(state, result_seen(noted.message, noted.origin, noted.at), noted.at)
        return state

    def until(self, moment: datetime) -> "Story":
        """The story as it was then: later records are left out, the state is that of the last decision before.

        Of a switch that was flipped again since, only the last word is known: what was before it is not told.
        """
        decisions = [noted for noted in self.decisions if noted.message.now <= moment]
        logged = logged_from(decisions[-1].message) if decisions else None
        then = Story(
            key=self.key,
            decisions=decisions,
            commands=[noted for noted in self.commands if noted.at <= moment],
            results=[noted for noted in self.results if noted.at <= moment],
            state=logged.after if isinstance(logged, Logged) else None,
            controls=Controls(_before(self.controls.freezes, moment), _before(self.controls.modes, moment)),
        )
        return replace(then, state=then.seen())

    def last_logged(self) -> Logged | None:
        """The last decision with all its inputs, unless it was cut."""
        for noted in reversed(self.decisions):
            logged = logged_from(noted.message)
            if isinstance(logged, Logged):
                return logged
        return None

    def answers(self) -> Answers | None:
        """The last answers that a decision was made by; what a request alone caused was decided without any."""
        for noted in reversed(self.decisions):
            logged = logged_from(noted.message)
            if isinstance(logged, Logged) and logged.judged.answers and logged.judged.answers.triggers:
                return logged.judged.answers
        return None

    def policy(self) -> Policy | None:
        """The content of the policy that was in force last; None when no decision holds it any more."""
        for noted in reversed(self.decisions):
            if noted.message.inputs.policy is not None:
                logged = logged_from(noted.message)
                return logged.judged.policy if isinstance(logged, Logged) else None
        return None


def _before(switches: Mapping[str, Control], moment: datetime) -> Mapping[str, Control]:
    return {pattern: switch for pattern, switch in switches.items() if switch.at <= moment}


@dataclass(frozen=True, slots=True)
class Library:
    """Where stories are read: the log's topics with this prefix, each keyed one with this many partitions."""

    reader: LogReader
    prefix: str
    partition_of: Callable[[ServiceKey], int]

    async def story(self, key: ServiceKey) -> Story:
        """Read the story of one service; raises LogError."""
        state = None
        async for record in self._records(Topic.STATE, key):
            read = state_from_bytes(record.value) if record.value is not None else None
            state = read if isinstance(read, ServiceState) else None
        story = Story(
            key=key,
            decisions=[noted async for noted in self._messages(Topic.DECISIONS, key, Decision)],
            commands=[noted async for noted in self._messages(Topic.SCALE_COMMANDS, key, ScaleCommand)],
            results=[noted async for noted in self._messages(Topic.SCALE_RESULTS, key, ScaleResult)],
            state=state,
            controls=await self._controls(),
        )
        return replace(story, state=story.seen())

    async def _records(self, topic: Topic, key: ServiceKey) -> AsyncIterator[Record]:
        wanted = bytes(key)
        partition = self.partition_of(key)
        async for records in self.reader.read_to_end(topic.under(self.prefix), partition):
            for record in records:
                if record.key == wanted:
                    yield record

    async def _messages(self, topic: Topic, key: ServiceKey, kind: type[M]) -> AsyncIterator[Noted[M]]:
        async for record in self._records(topic, key):
            message = decode(kind, record.value)
            if not isinstance(message, Undecodable):
                yield Noted(message, RecordCause(record.topic, record.partition, record.offset), record.at)

    async def _controls(self) -> Controls:
        book = Controls()
        async for records in self.reader.read_to_end(Topic.CONTROL.under(self.prefix), 0):
            for record in records:
                changed = switched(book, record)
                book = book if isinstance(changed, Undecodable) else changed
        return book
