"""A cluster and its handler on the log in memory: pods take their time, some calls fail, some handlers just die."""

import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from consumer.adapters.memory import MemoryLog
from consumer.core.service import OWN_MANAGER
from consumer.ports import Output
from schemas.codec import Undecodable, decode
from schemas.partitioning import partition_for, record_key
from schemas.scale_command import Direction, ScaleCommand
from schemas.scale_result import Phase, ScaleResult
from schemas.topics import Topic
from tests.longtime.oracle import Oracle
from tests.longtime.trace import MILLISECOND, whole

NAMESPACE = "town"
_SOME = 500
# After a failure somebody has to look at every second when it is asked again.
_LOOKS = (*range(1, 45), *range(45, 400, 5))


@dataclass(slots=True)
class Pods:
    """One workload."""

    uid: str
    replicas: int
    ready: int
    generation: int = 1


@dataclass(frozen=True, slots=True)
class Luck:
    """How often, of 1, a call fails, and a handler dies before it says anything."""

    fails: float = 0.004
    dies: float = 0.002

    @classmethod
    def none(cls) -> "Luck":
        """Nothing goes wrong."""
        return cls(0.0, 0.0)


@dataclass(order=True, slots=True)
class _Due:
    at: datetime
    order: int
    command: ScaleCommand | None = field(compare=False, default=None)
    ready: str = field(compare=False, default="")
    generation: int = field(compare=False, default=0)


class Town:
    """Carries out what workers ask, as a handler does, and tells the oracle what really happened."""

    def __init__(self, log: MemoryLog, prefix: str, partitions: int, oracle: Oracle, seed: int) -> None:
        self._log = log
        self._prefix = prefix
        self._partitions = partitions
        self._oracle = oracle
        self._chance = random.Random(f"town/{seed}")
        self._order = itertools.count()
        self._due: list[_Due] = []
        self._read = dict.fromkeys(range(partitions), 0)
        self._highest: dict[str, int] = {}
        self._told = itertools.count()
        self._refused: set[str] = set()
        self.luck = Luck()
        self.pods: dict[str, Pods] = {}
        self.commands = 0

    def next(self) -> datetime | None:
        """When something happens here by itself."""
        return self._due[0].at if self._due else None

    def create(self, name: str, replicas: int, now: datetime) -> None:
        """A workload is there, and is told of."""
        self.pods[name] = Pods(f"uid-{name}", replicas, replicas)
        self._tell(name, Phase.OBSERVED, now)

    def home(self, name: str) -> int:
        """The partition of a service."""
        return partition_for(NAMESPACE, name, self._partitions)

    def look(self, now: datetime) -> bool:
        """Take in what was asked since the last look; whether there was anything."""
        seen = False
        for command in self._new():
            seen = True
            self.commands += 1
            self._highest[command.service] = max(command.seq, self._highest.get(command.service, 0))
            again = command.direction is Direction.ZERO and command.service in self._refused
            self._oracle.commanded(command.service, up=command.direction is Direction.UP, again=again, now=now)
            latency = timedelta(milliseconds=self._chance.randint(20, 2_000))
            self._push(now + latency, command=command)
        return seen

    def _new(self) -> Iterator[ScaleCommand]:
        topic = Topic.SCALE_COMMANDS.under(self._prefix)
        for partition, position in self._read.items():
            if self._log.end((topic, partition), committed_only=False) == position:
                continue
            records, after = self._log.read((topic, partition), position, limit=_SOME, committed_only=True)
            self._read[partition] = after
            for record in records:
                command = decode(ScaleCommand, record.value)
                assert not isinstance(command, Undecodable), command
                yield command

    def act(self, now: datetime) -> None:
        """Do what is due."""
        while self._due and self._due[0].at <= now:
            due = heapq.heappop(self._due)
            if due.command is not None:
                self._carry_out(due.command, now)
            elif due.ready:
                self._get_ready(due.ready, due.generation, now)

    def _carry_out(self, command: ScaleCommand, now: datetime) -> None:
        name = command.service
        if command.seq < self._highest[name]:
            self._answer(command, Phase.SUPERSEDED, now)
            return
        luck = self._chance.random()
        if luck < self.luck.fails + self.luck.dies:
            self._refuse(command, now, silent=luck < self.luck.dies)
            return
        if command.direction is Direction.UP:
            self._up(command, now)
        else:
            self._zero(command, now)

    def _refuse(self, command: ScaleCommand, now: datetime, *, silent: bool) -> None:
        name = command.service
        self._refused.add(name)
        if command.direction is Direction.UP:
            self._oracle.refused(name, now)
        else:
            self._oracle.stayed(name)
        if not silent:
            self._answer(command, Phase.FAILED, now)
        for seconds in _LOOKS:
            self._push(now + timedelta(seconds=seconds))

    def _up(self, command: ScaleCommand, now: datetime) -> None:
        pods = self.pods[command.service]
        self._refused.discard(command.service)
        if pods.replicas >= command.replicas:
            self._oracle.scaled(command.service, up=True, now=now)
            self._answer(command, Phase.UNCHANGED, now)
            return
        pods.replicas, pods.generation = command.replicas, pods.generation + 1
        self._oracle.scaled(command.service, up=True, now=now)
        self._answer(command, Phase.ACCEPTED, now)
        starts = whole(now + timedelta(seconds=self._chance.uniform(1, 90))) + MILLISECOND
        self._push(starts, ready=command.service, generation=pods.generation)

    def _zero(self, command: ScaleCommand, now: datetime) -> None:
        pods, expect = self.pods[command.service], command.expect
        assert expect is not None
        self._refused.discard(command.service)
        if (expect.uid, expect.generation, expect.replicas) != (pods.uid, pods.generation, pods.replicas):
            self._oracle.stayed(command.service)
            self._answer(command, Phase.SUPERSEDED, now)
            return
        pods.replicas, pods.ready, pods.generation = 0, 0, pods.generation + 1
        self._oracle.scaled(command.service, up=False, now=now)
        self._answer(command, Phase.ACCEPTED, now)

    def _get_ready(self, name: str, generation: int, now: datetime) -> None:
        pods = self.pods[name]
        if pods.generation != generation:
            return
        pods.ready = pods.replicas
        self._oracle.became_ready(name, now)
        self._tell(name, Phase.READY, now)

    def _push(self, at: datetime, *, command: ScaleCommand | None = None, ready: str = "", generation: int = 0) -> None:
        heapq.heappush(self._due, _Due(at, next(self._order), command, ready, generation))

    def _answer(self, command: ScaleCommand, phase: Phase, now: datetime) -> None:
        self._tell(command.service, phase, now, command)

    def _tell(self, name: str, phase: Phase, now: datetime, command: ScaleCommand | None = None) -> None:
        pods = self.pods[name]
        failed = {"code": "busy", "message": "the API server is busy", "retryable": True}
        target = {"api_version": "apps/v1", "kind": "Deployment", "name": name}
        message = ScaleResult.model_validate(
            {
                "cluster": "default",
                "id": f"r{next(self._told)}",
                "command_id": None if command is None else command.id,
                "namespace": NAMESPACE,
                "service": name,
                "target": {**target, "uid": pods.uid, "generation": pods.generation},
                "phase": phase,
                "replicas": pods.replicas,
                "ready_replicas": pods.ready,
                "error": failed if phase is Phase.FAILED else None,
                "cause": "observed" if command is None else "command",
                "manager": OWN_MANAGER,
                "attempts": 1,
                "triggered_at": None if command is None else command.triggered_at,
                "decided_at": None if command is None else command.decided_at,
                "at": now,
            },
            by_name=True,
        )
        topic = Topic.SCALE_RESULTS.under(self._prefix)
        self._log.append(Output(topic, self.home(name), record_key(NAMESPACE, name), message.encode()))
