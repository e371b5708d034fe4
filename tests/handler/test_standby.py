"""The autoscaler beside a service stands aside while it sleeps, and runs again beside every wake."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.adapters.memory_autoscalers import AutoscalerState, MemoryAutoscalers
from consumer.core.outcome import Command
from consumer.core.reasons import Code, because
from consumer.core.service import Autoscaler
from consumer.handler.standby import Wish, fits
from consumer.ports import (
    AutoscalerKey,
    TargetBusyError,
    TargetForbiddenError,
    TargetMovedError,
)
from tests.handler.bed import Bed, settled
from tests.handler.samples import SECOND, TARGET, WEB, policy, seen, up, zero

KEDA = Autoscaler("keda", "web")
SCALED = AutoscalerKey("shop", "web")
RUNS = AutoscalerState()


def beside(command: Command, autoscaler: Autoscaler | None = KEDA) -> Command:
    """The same command for a service with this autoscaler."""
    return replace(command, autoscaler=autoscaler)


class KedaBed(Bed):
    """A bed with one service and a ScaledObject beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.keda = MemoryAutoscalers()
        self.keda.create(SCALED)
        self.autoscalers = self.keda
        self.policies.put(replace(policy(), autoscaler=KEDA))

    @property
    def state(self) -> AutoscalerState:
        return self.keda.state(SCALED)

    def asked(self) -> Sequence[str]:
        return [what for what, _, _ in self.keda.calls]


@pytest.fixture
def bed() -> KedaBed:
    return KedaBed()


async def asleep(bed: KedaBed) -> Command:
    """Put the service to sleep."""
    sleep = beside(zero(1, bed.targets.create(TARGET, replicas=2)))
    await settled()
    bed.command(sleep)
    await settled()
    return sleep


async def test_a_sleep_pauses_first_and_pins_afterwards(bed: KedaBed) -> None:
    async with bed.running():
        awake = bed.targets.create(TARGET, replicas=2)
        await settled()
        sleep = beside(zero(1, awake))
        bed.targets.before_next_call(lambda: states.append(bed.state))
        states: list[AutoscalerState] = []
        bed.command(sleep)
        await settled()
    assert states == [AutoscalerState(paused=True, by=sleep.id)]
    assert bed.state == AutoscalerState(paused=True, held_at=0, by=sleep.id)
    assert bed.phases()[-1] == "accepted"


@pytest.mark.parametrize("autoscaler", [None, Autoscaler("hpa", "web")])
async def test_what_is_no_keda_object_is_left_alone(bed: KedaBed, autoscaler: Autoscaler | None) -> None:
    async with bed.running():
        bed.command(beside(zero(1, bed.targets.create(TARGET, replicas=2)), autoscaler))
        await settled()
    assert bed.asked() == []


async def test_a_wake_lets_it_run_again_and_never_waits_for_that(bed: KedaBed) -> None:
    async with bed.running():
        await asleep(bed)
        bed.keda.fail(TargetBusyError("500"), TargetForbiddenError("403"))
        bed.command(beside(up(2)))
        await settled()
        assert bed.phases()[-1] == "accepted"
        assert bed.state.paused
        for _ in range(3):
            await bed.later(SECOND)
        assert bed.state == RUNS


async def test_a_wake_of_what_is_up_already_lets_it_run_again_too(bed: KedaBed) -> None:
    async with bed.running():
        await asleep(bed)
        bed.targets.scale_by_hand(TARGET, 3)
        await settled()
        bed.command(beside(up(2)))
        await settled()
    assert bed.phases()[-1] == "unchanged"
    assert bed.state == RUNS


async def test_a_direct_wake_lets_it_run_again(bed: KedaBed) -> None:
    handler = bed.handler()
    async with bed.running(handler):
        await asleep(bed)
        await handler.wake(WEB, None)
        await settled()
    assert bed.state == RUNS


async def test_a_release_lets_it_run_again_also_when_the_target_is_gone(bed: KedaBed) -> None:
    async with bed.running():
        await asleep(bed)
        bed.targets.delete(TARGET)
        bed.command(beside(replace(up(2), reason=because(Code.POLICY_DELETED))))
        await settled()
    assert bed.phases()[-1] == "unchanged"
    assert bed.state == RUNS


async def test_a_refused_sleep_takes_its_pause_back(bed: KedaBed) -> None:
    async with bed.running():
        stale = bed.targets.create(TARGET, replicas=2)
        await settled()
        # Somebody is quicker than the zero itself: the pause was made by then.
        bed.targets.before_next_call(lambda: bed.targets.scale_by_hand(TARGET, 3))
        bed.command(beside(zero(1, stale)))
        await settled()
    assert "superseded" in bed.phases()
    assert bed.asked()[0] == "pause"
    assert bed.state == RUNS


async def test_a_sleep_after_a_crash_between_pause_and_zero_takes_the_pause_back_when_it_is_refused(
    bed: KedaBed,
) -> None:
    stale = bed.targets.create(TARGET, replicas=2)
    sleep = beside(zero(1, stale))
    await bed.keda.pause(SCALED, sleep.id)
    bed.targets.scale_by_hand(TARGET, 5)
    bed.command(sleep)
    async with bed.running():
        await settled()
    assert "superseded" in bed.phases()
    assert bed.state == RUNS


async def test_a_sleep_whose_zero_had_landed_before_the_crash_is_pinned(bed: KedaBed) -> None:
    awake = bed.targets.create(TARGET, replicas=2)
    sleep = beside(zero(1, awake))
    await bed.keda.pause(SCALED, sleep.id)
    bed.targets.scale_by_hand(TARGET, 0, "elasti")
    bed.command(sleep)
    async with bed.running():
        await settled()
    assert bed.state == AutoscalerState(paused=True, held_at=0, by=sleep.id)


async def test_a_sleep_fails_with_a_reason_when_somebody_else_paused_it(bed: KedaBed) -> None:
    bed.keda.pause_by_hand(SCALED, held_at=3)
    async with bed.running():
        await asleep(bed)
    error = bed.results()[-1].error
    assert error is not None
    assert (bed.phases()[-1], error.code, error.retryable) == ("failed", "autoscaler-held", False)
    assert bed.targets.present(TARGET).replicas == 2
    assert bed.state == AutoscalerState(paused=True, held_at=3)


async def test_a_sleep_fails_when_keda_can_not_be_reached_for_a_sleep_without_pause_would_be_undone(
    bed: KedaBed,
) -> None:
    async with bed.running():
        bed.keda.fail(*[TargetBusyError("500")] * bed.settings.attempts)
        await asleep(bed)
        for _ in range(4):
            await bed.later(5 * SECOND)
    error = bed.results()[-1].error
    assert error is not None
    assert (bed.phases()[-1], error.code, error.retryable) == ("failed", "busy", True)
    assert bed.targets.present(TARGET).replicas == 2


async def test_a_sleep_without_a_scaled_object_needs_no_pause(bed: KedaBed) -> None:
    bed.keda.delete(SCALED)
    async with bed.running():
        await asleep(bed)
    assert bed.phases()[-1] == "accepted"


async def test_a_pause_that_is_missing_after_the_sleep_is_made_again(bed: KedaBed) -> None:
    async with bed.running():
        awake = bed.targets.create(TARGET, replicas=2)
        await settled()
        # A stalled handler's late wake lets it run between our zero and our pin.
        sleep = beside(zero(1, awake))
        bed.keda.fail(None, TargetMovedError("not paused in the name of it any more"))
        bed.command(sleep)
        await settled()
    assert bed.asked() == ["pause", "pin", "pause", "pin"]
    assert bed.state == AutoscalerState(paused=True, held_at=0, by=sleep.id)


async def test_an_old_sleep_that_is_refused_does_not_end_what_a_wake_still_has_to_do(bed: KedaBed) -> None:
    async with bed.running():
        sleep = await asleep(bed)
        bed.keda.fail(TargetBusyError("500"))
        bed.command(beside(up(3)))
        await settled()
        bed.command(beside(replace(zero(2, bed.targets.present(TARGET)), id="old")))
        await settled()
        assert bed.state.by == sleep.id
        await bed.later(SECOND)
        assert bed.state == RUNS


async def test_an_edit_that_takes_the_autoscaler_out_lets_it_run_again(bed: KedaBed) -> None:
    async with bed.running():
        await asleep(bed)
        bed.targets.scale_by_hand(TARGET, 1)
        await settled()
        bed.policies.put(policy())
        await settled()
    assert bed.state == RUNS


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["up", "zero", "again", "slow", "slow", "keda away", "busy", "wait", "wait", "lag", "catch up"]
        ),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=20,
)


class SlowAutoscalers(MemoryAutoscalers):
    """Each call takes as many turns as were put down for it before it is carried out: a handler that was stalled."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: deque[int] = deque()

    async def pause(self, key: AutoscalerKey, by: str) -> None:
        await self._dawdle()
        await super().pause(key, by)

    async def pin(self, key: AutoscalerKey, by: str) -> None:
        await self._dawdle()
        await super().pin(key, by)

    async def resume(self, key: AutoscalerKey, by: str | None = None) -> bool:
        await self._dawdle()
        return await super().resume(key, by)

    async def _dawdle(self) -> None:
        for _ in range(self.turns.popleft() if self.turns else 0):
            await asyncio.sleep(0)


class Pair:
    """Two handlers in disorder: each may get any command, also one that the other answered long ago."""

    def __init__(self) -> None:
        self.bed, self.other = KedaBed(), KedaBed()
        # The same cluster, another log: so both may hold what each believes to be its own.
        self.keda = self.bed.keda = SlowAutoscalers()
        self.keda.create(SCALED)
        self.bed.autoscalers = self.other.autoscalers = self.keda
        self.other.targets, self.other.time = self.bed.targets, self.bed.clock
        self.bed.targets.create(TARGET, replicas=1)
        self.sent: list[Command] = []

    async def run(self, steps: Sequence[Step]) -> KedaBed:
        async with self.bed.running(), self.other.running():
            for name, number in steps:
                self._command(name, number)
                self._trouble(name, number)
                for _ in range(number * 8 if name == "wait" else 0):
                    await asyncio.sleep(0)
            self.bed.targets.release_watch()
            for _ in range(12):
                await self.bed.later(20 * SECOND)
        return self.bed

    def _command(self, name: str, number: int) -> None:
        seq, place = len(self.sent) + 1, (self.bed, self.other)[number % 2]
        if name == "up":
            self.sent.append(beside(up(seq)))
        elif name == "zero":
            self.sent.append(beside(zero(seq, self.bed.targets.present(TARGET))))
        elif name == "again" and self.sent:
            place.command(self.sent[-1 - number % len(self.sent)])
        if name in ("up", "zero"):
            place.command(self.sent[-1])

    def _trouble(self, name: str, number: int) -> None:
        match name:
            case "keda away":
                self.bed.keda.fail(*[TargetBusyError("500")] * number)
            case "slow":
                self.keda.turns.append(number * 15)
            case "busy":
                self.bed.targets.fail(TargetBusyError("reset by peer"))
            case "lag":
                self.bed.targets.hold_watch()
            case "catch up":
                self.bed.targets.release_watch()
            case _:
                pass


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_after_quiet_it_is_paused_if_and_only_if_the_target_was_put_to_zero_last(steps: list[Step]) -> None:
    bed = asyncio.run(Pair().run(steps))
    asleep_now = bed.targets.present(TARGET).replicas == 0
    assert (bed.state.paused, bed.state.held_at) == (asleep_now, 0 if asleep_now else None)


@pytest.mark.parametrize(
    ("replicas", "manager", "asleep", "awake"),
    [
        (0, "elasti", True, False),
        (0, None, True, True),
        (0, "kubectl", False, True),
        (1, "elasti", False, True),
        (1, None, False, True),
    ],
)
def test_a_zero_that_nobody_signed_is_believed_of_a_sleep_and_pauses_nothing_after_a_wake(
    replicas: int, manager: str | None, asleep: bool, awake: bool
) -> None:
    view = replace(seen(replicas=replicas), manager=manager)
    assert fits(Wish(TARGET, "c1", asleep=True), view) is asleep
    assert fits(Wish(TARGET, "c1", asleep=False), view) is awake
