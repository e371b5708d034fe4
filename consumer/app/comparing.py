"""Reads what `elasti diff` compares: every decision and every result that the log still has."""

import asyncio
from collections.abc import Callable
from functools import partial

from consumer.app.places import LogPlace
from consumer.insight.rehearsal import Rehearsal
from consumer.ports import Record
from schemas.codec import Undecodable, decode
from schemas.decision import Decision
from schemas.scale_result import ScaleResult
from schemas.topics import Topic

_AT_A_TIME = 4


async def rehearsal(log: LogPlace) -> Rehearsal:
    """Read all partitions, a few at a time; what can not be read says nothing. Raises LogError."""
    folded, turns = Rehearsal(), asyncio.Semaphore(_AT_A_TIME)

    async def read(topic: Topic, partition: int, fold: Callable[[Record], None]) -> None:
        async with turns:
            async for records in log.reader.read_to_end(topic.under(log.prefix), partition):
                for record in records:
                    fold(record)

    async with asyncio.TaskGroup() as tasks:
        for partition in range(log.partitions):
            tasks.create_task(read(Topic.DECISIONS, partition, partial(_decision, folded)))
            tasks.create_task(read(Topic.SCALE_RESULTS, partition, partial(_result, folded)))
    return folded


def _decision(folded: Rehearsal, record: Record) -> None:
    message = decode(Decision, record.value)
    if not isinstance(message, Undecodable):
        folded.decision(message)


def _result(folded: Rehearsal, record: Record) -> None:
    message = decode(ScaleResult, record.value)
    if not isinstance(message, Undecodable):
        folded.result(message)
