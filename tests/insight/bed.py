"""A real history to be explained: a whole worker and a whole handler on one log in memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from consumer.adapters.memory import MemoryMembership, MemoryPublisher, MemoryReader
from consumer.adapters.memory_targets import MemoryTargets
from consumer.core.answers import Answer, Answers, Evidence, No, TriggerAnswers, Unknown, UnknownCause, Yes
from consumer.core.policy import Policy
from consumer.core.service import Mode, ServiceKey
from consumer.handler.scale_handler import ScaleHandler
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.insight.explain import Explanation, explain
from consumer.insight.story import Library, Story
from consumer.ports import Subject, TargetKey
from consumer.worker.settings import WorkerPorts, WorkerSettings
from schemas.control import Control, Freeze
from schemas.topics import Topic
from tests.handler.bed import Told
from tests.worker.bed import TARGET, WEB, Bed, policy

COOLDOWN = timedelta(minutes=2)
STEP = timedelta(seconds=10)


class Mood:
    """Judges that answer as a test wishes: idle, busy, or not at all."""

    def __init__(self) -> None:
        self.value = 0.0
        self.blind = False

    async def sweep(self, subjects: Sequence[Subject], now: datetime) -> Mapping[ServiceKey, Answers]:
        return {subject.policy.key: self.answers(now) for subject in subjects}

    def window_of(self, policy: Policy) -> timedelta | None:  # noqa: ARG002 - the port's contract
        return None

    def answers(self, now: datetime) -> Answers:
        """What they say of everyone."""
        if self.blind:
            unknown = Unknown(UnknownCause.HTTP_ERROR, now, "HTTP 503")
            return Answers((TriggerAnswers("prometheus#0", unknown, unknown, unknown),))
        healthy = Yes(Evidence(1.0), now)
        evidence = Evidence(self.value, 1.0)
        idle: Answer = Yes(evidence, now) if self.value < 1 else No(evidence, now)
        busy: Answer = No(evidence, now) if self.value < 1 else Yes(evidence, now)
        return Answers((TriggerAnswers("prometheus#0", healthy, idle, busy),))


class History:
    """What happens to one service, `shop/web`, one replica of which is up at the start."""

    def __init__(self, *, mode: Mode = Mode.FULL) -> None:
        self.bed = Bed(policy(cooldown=COOLDOWN), settings=WorkerSettings(mode=mode))
        self.mood = Mood()
        self.targets = MemoryTargets(self.bed.clock)
        self.target = TargetKey("shop", TARGET)
        self.targets.create(self.target, replicas=1, ready=1)

    @property
    def now(self) -> datetime:
        """The time of the history."""
        return self.bed.clock.now

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let worker and handler run."""
        ports = self.bed.ports()
        handler = self._handler(ports)
        async with self.bed.running(replace(ports, judges=self.mood)), asyncio.TaskGroup() as tasks:
            tasks.create_task(handler.run())
            await self.bed.settle()
            yield
            await handler.stop()

    async def passes(self, length: timedelta) -> None:
        """Let time pass."""
        await self.bed.pass_time(length, STEP)
        await self.bed.flush()

    async def request(self) -> None:
        """A request comes, and what it causes is written."""
        self.bed.request()
        await self.bed.flush()

    async def becomes_ready(self) -> None:
        """The target's pod is ready, and that is seen."""
        self.targets.make_ready(self.target, 1)
        await self.bed.flush()

    async def story(self, key: ServiceKey = WEB) -> Story:
        """Read the story from the log, as the command line does."""
        return await Library(MemoryReader(self.bed.log), self.bed.settings.prefix, self.bed.home).story(key)

    async def explained(self, at: datetime | None = None) -> Explanation:
        """Explain the service now, or as it was."""
        story = await self.story()
        story = story.until(at) if at else story
        return explain(story, story.policy(), None, at or self.now)

    def _handler(self, ports: WorkerPorts) -> ScaleHandler:
        settings = HandlerSettings(prefix=self.bed.settings.prefix)
        return ScaleHandler(
            HandlerPorts(
                membership=MemoryMembership(self.bed.log, settings.subscription()),
                publisher=MemoryPublisher(self.bed.log),
                reader=MemoryReader(self.bed.log),
                targets=self.targets,
                policies=ports.policies,
                clock=self.bed.clock,
                telemetry=Told(),
                chance=lambda: 0.0,
            ),
            settings,
        )

    def freeze(self, by: str, why: str) -> None:
        """Somebody freezes all sleeps."""
        at = self.now
        message = Control(
            cluster=self.bed.settings.cluster, scope="*", by=by, at=at, why=why, freeze=Freeze(by=by, at=at, why=why)
        )
        self.bed.raw(Topic.CONTROL, message.encode(), key=b"*")
