"""`elasti` as it is, but in the midst of the first transaction with a command it sends itself a signal.

`python -m tests.live.mortal_program STEP SIGNAL run …`; says `trapped` right before.
"""

import asyncio
import os
import signal
import sys
from enum import StrEnum

from aiokafka import AIOKafkaProducer

from consumer.adapters.kafka import writer
from consumer.cli import main
from schemas.topics import Topic


class Step(StrEnum):
    """Where in the transaction it is."""

    BEGUN = "begun"
    """Nothing of it is at the broker."""
    WRITTEN = "written"
    """The broker has every record, the command among them, but not the offsets."""
    OFFSETS = "offsets"
    """The broker has the offsets too; all that is missing is the commit."""
    COMMITTED = "committed"
    """It is durable, and the worker has not learned that it is."""


class Trap:
    """Springs once."""

    step = Step.BEGUN
    number = signal.SIGKILL
    sprung = False

    @classmethod
    def at(cls, step: Step) -> None:
        """Signal this process if this is the step, the first time."""
        if cls.sprung or step is not cls.step:
            return
        cls.sprung = True
        sys.stdout.write("trapped\n")
        sys.stdout.flush()
        os.kill(os.getpid(), cls.number)


class MortalProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka ships no types
    """A producer that steps into the trap in its first transaction with a command."""

    commands = 0

    async def send(self, topic: str, **record: object) -> asyncio.Future[object]:
        """Count the commands."""
        if topic.endswith(Topic.SCALE_COMMANDS):
            self.commands += 1
            Trap.at(Step.BEGUN)
        sent: asyncio.Future[object] = await super().send(topic, **record)
        return sent

    async def send_offsets_to_transaction(self, offsets: object, group_id: str) -> None:
        """Have every record at the broker first."""
        if self.commands:
            await self.flush()
            Trap.at(Step.WRITTEN)
        await super().send_offsets_to_transaction(offsets, group_id)
        if self.commands:
            Trap.at(Step.OFFSETS)

    async def commit_transaction(self) -> None:
        """Commit, and perhaps never come back."""
        await super().commit_transaction()
        if self.commands:
            Trap.at(Step.COMMITTED)


if __name__ == "__main__":
    Trap.step = Step(sys.argv[1])
    Trap.number = signal.Signals[sys.argv[2]]
    del sys.argv[1:3]
    vars(writer)["AIOKafkaProducer"] = MortalProducer
    main()
