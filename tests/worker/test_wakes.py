"""Requests wake: one command, durable with its cause, however often and however wrong they arrive."""

from schemas.topics import Topic
from tests.worker.bed import Bed, policy


async def test_a_request_for_a_sleeping_service_wakes_it_at_once() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.settle()
        asked = bed.request()
        await bed.until(lambda: bool(bed.commands()))
        (command,) = bed.commands()
        assert (command.direction, command.replicas, command.reason.code) == ("up", 1, "request")
        assert command.cause.offset == asked.offset
        assert command.triggered_at == asked.at
        assert bed.committed(Topic.REQUEST_COUNTS) == asked.offset + 1


async def test_a_hundred_requests_give_one_command() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.settle()
        for _ in range(50):
            bed.request()
        await bed.settle()
        for _ in range(50):
            bed.request(count=3)
        await bed.flush()
        assert len(bed.commands()) == 1
        assert bed.committed(Topic.REQUEST_COUNTS) == 100
