"""A worker as a process of its own, on a real Kafka, that can kill or stop itself at a chosen step.

`python -m tests.live.worker_process BOOTSTRAP PREFIX STEP SIGNAL SERVICE...`; STEP `-` is never. It prints `ready` when
its partitions are taken over, and `trapped` at the step.
"""

import asyncio
import os
import signal
import sys
from datetime import timedelta

from aiokafka import AIOKafkaProducer

from consumer.adapters.clock import BrokerClock
from consumer.adapters.kafka import KafkaConnection, KafkaMembership, KafkaPublisher, KafkaReader, KafkaWriters
from consumer.adapters.kafka import writer as kafka_writer
from consumer.core.service import ServiceKey
from consumer.telemetry import Telemetry
from consumer.worker.settings import WorkerPorts, WorkerSettings
from consumer.worker.worker import Worker
from schemas.topics import Topic
from tests.worker.bed import Listed, Says, policy
from tests.worker.mortal import Fate, mortal

SESSION = timedelta(seconds=2)


class Producer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka ships no types
    """aiokafka's own producer, which tells the trap how far a transaction with a command came."""

    trap: Fate
    wakes = False

    async def send(self, topic: str, *args: object, **more: object) -> object:
        """Note that this transaction holds a command."""
        future = await super().send(topic, *args, **more)
        if topic.endswith(Topic.SCALE_COMMANDS):
            self.wakes = True
            self.trap.step("command sent")
        return future

    async def send_offsets_to_transaction(self, offsets: object, group_id: str) -> None:
        """Tell of the offsets."""
        await super().send_offsets_to_transaction(offsets, group_id)
        if self.wakes:
            self.trap.step("offsets sent")

    async def commit_transaction(self) -> None:
        """Tell of all records' acknowledgements, and of the end."""
        if self.wakes:
            self.trap.step("all acknowledged")
        await super().commit_transaction()


class Trap(Fate):
    """Sends its own process a signal at the first step of a name."""

    def __init__(self, at: str, number: int) -> None:
        super().__init__()
        self._at = at
        self._number = number

    def step(self, name: str) -> None:
        super().step(name)
        if name == self._at and self.steps.count(name) == 1:
            say("trapped")
            os.kill(os.getpid(), self._number)


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def settings_of(prefix: str) -> WorkerSettings:
    """The settings that all workers of one test share."""
    return WorkerSettings(prefix=prefix, flush_every=timedelta(milliseconds=300), interval=timedelta(seconds=5))


def ports_on(bootstrap: str, settings: WorkerSettings, services: list[str]) -> WorkerPorts:
    """Real Kafka; policies and judges that are always the same."""
    connection = KafkaConnection(bootstrap, session_timeout=SESSION)
    subscription = settings.subscription()
    clock = BrokerClock()
    return WorkerPorts(
        membership=KafkaMembership(connection, subscription),
        writers=KafkaWriters(connection, subscription.group),
        publisher=KafkaPublisher(connection),
        reader=KafkaReader(connection),
        judges=Says(),
        policies=Listed(*(policy(ServiceKey("shop", name)) for name in services)),
        clock=clock,
        telemetry=Telemetry("default", "test"),
    )


async def main() -> None:
    bootstrap, prefix, step, number, *services = sys.argv[1:]
    settings = settings_of(prefix)
    trap = Trap(step, int(number))
    Producer.trap = trap
    kafka_writer.AIOKafkaProducer = Producer  # type: ignore[attr-defined]  # not exported, but looked up there
    ports = mortal(ports_on(bootstrap, settings, services), trap)
    worker = Worker(ports, settings)
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, lambda: asyncio.get_running_loop().create_task(worker.stop())
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(worker.run())
        while not ((worker.health().ready and worker.health().partitions) or running.done()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        say("ready")


if __name__ == "__main__":
    asyncio.run(main())
