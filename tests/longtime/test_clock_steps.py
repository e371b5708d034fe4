"""The broker's clock is set an hour forward or back in the midst of it: nothing sleeps early, every wake comes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from consumer.adapters.clock import BrokerClock, ManualClock
from consumer.ports import Moment
from consumer.worker.worker import Worker
from schemas.scale_command import ScaleCommand
from tests.worker.bed import COOLDOWN, T0, WEB, Bed, policy

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
STEP = timedelta(seconds=5)
STEPS = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])


class SetClock:
    """The broker's clock: it goes on as time does, but somebody may set it."""

    def __init__(self, time: ManualClock) -> None:
        self._time = time
        self.ahead = timedelta()

    def read(self) -> Moment:
        return Moment(self._time.now + self.ahead, sure=True)

    def learn(self, appended: datetime, sent: Moment, received: Moment) -> None:
        """Nothing: it is the one that others learn from."""

    async def sleep(self, length: timedelta) -> None:
        await self._time.sleep(length)


class WorkersClock(BrokerClock):
    """The clock of production, but for the hands of this machine: those move when the test moves them."""

    def __init__(self, time: ManualClock) -> None:
        super().__init__(monotonic=partial(_seconds, time))
        self._time = time

    async def sleep(self, length: timedelta) -> None:
        await self._time.sleep(length)


class Installation:
    """A worker whose broker's clock can be set, and a handler that shares that broker."""

    def __init__(self, *, cooldown: timedelta = COOLDOWN) -> None:
        self.bed = Bed(policy(cooldown=cooldown))
        self.broker = SetClock(self.bed.clock)
        self.bed.log.clock = self.broker
        self._generation = 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        ports = replace(self.bed.ports(), clock=WorkersClock(self.bed.clock))
        async with self.bed.running(ports) as worker:
            yield worker

    async def set_clock(self, step: timedelta) -> None:
        """Set the broker's clock; the worker notices at its next transaction."""
        self.broker.ahead += step
        self.bed.request(WEB, count=0)
        await self.bed.flush()

    def result(self, phase: str, replicas: int, **facts: object) -> None:
        self._generation += 1
        target = {"api_version": "apps/v1", "kind": "Deployment", "name": "web", "uid": "t1"}
        grown = {**target, "generation": self._generation}
        now = self.broker.read().now
        self.bed.result(phase, WEB, target=grown, at=now, replicas=replicas, ready_replicas=replicas, **facts)

    def answer(self, phase: str, replicas: int, **facts: object) -> None:
        self.result(phase, replicas, command_id=self.bed.commands()[-1].id, cause="command", **facts)

    async def pass_time(self, length: timedelta, step: timedelta = STEP, *, obedient: bool = True) -> None:
        """Let time go by; an obedient handler does what it is asked at once."""
        done = len(self.bed.commands())
        while length > timedelta():
            await self.bed.pass_time(step, step)
            length -= step
            if obedient and len(self.bed.commands()) > done:
                self.answer("accepted", self.bed.commands()[-1].replicas)
                await self.bed.settle()
            done = len(self.bed.commands())

    def asked(self, direction: str) -> list[ScaleCommand]:
        return [command for command in self.bed.commands() if command.direction == direction]


def _seconds(time: ManualClock) -> float:
    return (time.now - T0).total_seconds()


FAILED = {"error": {"code": "busy", "message": "the API server is busy", "retryable": True}}


@STEPS
async def test_a_service_in_use_is_not_put_to_sleep_before_its_cooldown_has_really_passed(step: timedelta) -> None:
    town = Installation()
    async with town.running():
        town.result("observed", 1)
        await town.pass_time(COOLDOWN + MINUTE)
        assert len(town.asked("zero")) == 1
        town.bed.request()
        await town.pass_time(COOLDOWN - MINUTE)
        town.bed.request()
        asked = town.bed.clock.now
        await town.pass_time(STEP)
        await town.set_clock(step)
        while town.bed.clock.now < asked + COOLDOWN:
            assert len(town.asked("zero")) == 1, f"asleep {town.bed.clock.now - asked} after a request"
            await town.pass_time(STEP)
        # And it does sleep: after the clock was set back, when that hour has passed once more.
        await town.pass_time(max(timedelta(), -step) + MINUTE)
        assert len(town.asked("zero")) == 2


@STEPS
async def test_a_request_wakes_at_once_after_a_step(step: timedelta) -> None:
    town = Installation()
    async with town.running():
        town.result("observed", 0)
        await town.bed.pass_time(10 * MINUTE, 15 * SECOND)
        await town.set_clock(step)
        town.bed.request()
        await town.bed.flush()
        (command,) = town.asked("up")
        assert command.reason.code == "request"


@STEPS
async def test_a_request_from_right_before_the_step_wakes(step: timedelta) -> None:
    town = Installation()
    async with town.running():
        town.result("observed", 0)
        await town.bed.pass_time(10 * MINUTE, 15 * SECOND)
        town.bed.request()
        town.broker.ahead += step
        await town.bed.flush()
        assert town.asked("up")[0].reason.code == "request"


@STEPS
async def test_a_wake_that_failed_right_before_the_step_is_asked_again_at_the_next_cycle(step: timedelta) -> None:
    town = Installation()
    async with town.running():
        town.result("observed", 0)
        await town.bed.pass_time(10 * MINUTE, 15 * SECOND)
        town.bed.request()
        await town.bed.flush()
        await town.set_clock(step)
        town.answer("failed", 0, **FAILED)
        await town.bed.pass_time(MINUTE, SECOND)
        assert len(town.asked("up")) >= 2


async def test_while_the_clock_is_unsure_nothing_sleeps_and_every_request_wakes() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed")
        await bed.pass_time(COOLDOWN - MINUTE, 15 * SECOND)
        bed.clock.sure = False
        await bed.pass_time(HOUR, 15 * SECOND)
        assert bed.commands() == []
        assert "clock" in bed.codes()
        bed.request()
        await bed.flush()
        (command,) = bed.commands()
        assert command.direction == "up"
        bed.obedient, bed.clock.sure = True, True
        bed.obey()
        await bed.settle()
        await bed.pass_time(COOLDOWN + MINUTE, 15 * SECOND)
        assert [command.direction.value for command in bed.commands()] == ["up", "zero"]
