"""Freezes, pauses and modes count when a command is carried out, whatever they were when it was decided."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.core.policy import Pause, PauseKind
from consumer.core.reasons import Code, because
from consumer.core.service import Mode
from schemas.topics import Topic
from tests.handler.bed import SETTINGS, Bed, settled
from tests.handler.samples import SECOND, T0, TARGET, WEB, policy, prepare, up, zero


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.serve(WEB)
    return bed


async def code_of_a_sleep(bed: Bed) -> str | None:
    """Send a sleep and return why it was superseded; None when it was carried out."""
    awake = bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        bed.command(zero(1, awake))
        await settled()
    result = bed.results()[-1]
    if result.phase.value == "accepted":
        return None
    assert result.phase.value == "superseded"
    assert result.error is not None
    assert str(WEB) in result.error.message
    return result.error.code


@pytest.mark.parametrize("scope", ["*", "shop/*", "shop/web"])
async def test_a_sleep_while_frozen_is_superseded(bed: Bed, scope: str) -> None:
    bed.switch(scope, frozen="sale")
    assert await code_of_a_sleep(bed) == "frozen"


async def test_a_sleep_is_carried_out_when_others_are_frozen_or_it_was_unfrozen(bed: Bed) -> None:
    bed.switch("other/*", frozen="sale")
    bed.switch("shop/*", frozen="sale")
    bed.switch("shop/*")
    assert await code_of_a_sleep(bed) is None


async def test_a_tombstone_takes_a_freeze_back(bed: Bed) -> None:
    bed.switch("shop/*", frozen="sale")
    bed.control(b"shop/*", None)
    assert await code_of_a_sleep(bed) is None


async def test_an_unreadable_control_changes_nothing(bed: Bed) -> None:
    bed.switch("shop/*", frozen="sale")
    bed.control(b"shop/*", b"not json")
    assert await code_of_a_sleep(bed) == "frozen"


@pytest.mark.parametrize(
    ("until", "code"), [(None, "paused"), (T0 + SECOND, "paused"), (T0, None), (T0 - SECOND, None)]
)
@pytest.mark.parametrize("kind", list(PauseKind))
async def test_a_sleep_is_superseded_until_the_exact_end_of_a_pause(
    bed: Bed, kind: PauseKind, until: object, code: str | None
) -> None:
    bed.policies.put(replace(policy(), pause=Pause(kind, until)))  # type: ignore[arg-type]
    assert await code_of_a_sleep(bed) == code


@pytest.mark.parametrize("mode", [Mode.WAKE_ONLY, Mode.OBSERVE])
async def test_a_sleep_out_of_mode_full_is_superseded_whoever_set_it(mode: Mode) -> None:
    by_install, by_policy, by_hand = Bed(replace(SETTINGS, mode=mode)), Bed(), Bed()
    by_install.serve(WEB)
    by_policy.policies.put(replace(policy(), mode=mode))
    by_hand.serve(WEB)
    by_hand.switch("shop/web", mode=mode)
    for bed in (by_install, by_policy, by_hand):
        assert await code_of_a_sleep(bed) == "mode"


async def test_a_sleep_without_a_policy_is_superseded(bed: Bed) -> None:
    bed.policies.drop(WEB)
    assert await code_of_a_sleep(bed) == "no-policy"


@pytest.mark.parametrize(("mode", "phase"), [(Mode.FULL, "draining"), (Mode.WAKE_ONLY, "superseded")])
async def test_a_prepare_is_withheld_like_a_sleep(bed: Bed, mode: Mode, phase: str) -> None:
    bed.targets.create(TARGET, replicas=1)
    bed.switch("*", mode=mode)
    async with bed.running():
        bed.command(prepare(1))
        await settled()
    assert bed.phases()[-1] == phase


@pytest.mark.parametrize(("mode", "phase"), [(Mode.WAKE_ONLY, "accepted"), (Mode.OBSERVE, "superseded")])
async def test_a_wake_is_carried_out_in_every_mode_but_observe_frozen_or_not(bed: Bed, mode: Mode, phase: str) -> None:
    bed.targets.create(TARGET, replicas=0)
    bed.switch("shop/*", frozen="sale")
    bed.switch("*", mode=mode)
    bed.policies.put(replace(policy(), pause=Pause(PauseKind.SLEEP)))
    async with bed.running():
        bed.command(up(1))
        await settled()
    assert bed.phases()[-1] == phase


@pytest.mark.parametrize("code", [Code.POLICY_DELETED, Code.TARGET_CHANGED])
async def test_what_gives_a_target_back_is_carried_out_whatever_is_switched(bed: Bed, code: Code) -> None:
    bed.targets.create(TARGET, replicas=0)
    bed.switch("*", mode=Mode.OBSERVE)
    bed.policies.drop(WEB)
    async with bed.running():
        bed.command(replace(up(1), reason=because(code)))
        await settled()
    assert bed.phases() == ["accepted"]


async def test_nothing_is_carried_out_before_all_controls_are_known(bed: Bed) -> None:
    bed.targets.create(TARGET, replicas=0)
    bed.reader_fails(Topic.CONTROL, times=2)
    bed.command(up(1))
    async with bed.running():
        await settled()
        assert not any(change for _, change in bed.targets.calls)
        await bed.later(timedelta(milliseconds=50))
        await bed.later(timedelta(milliseconds=100))
        assert "accepted" in bed.phases()


async def test_a_switch_is_known_as_soon_as_it_is_thrown_also_after_the_log_was_away(bed: Bed) -> None:
    awake = bed.targets.create(TARGET, replicas=1)
    async with bed.running():
        await settled()
        bed.following_fails()
        bed.switch("*", frozen="sale")
        await settled()
        await bed.later(SECOND)
        bed.switch("shop/*", frozen="sale too")
        await settled()
        bed.command(zero(1, awake))
        await settled()
    assert bed.phases()[-1] == "superseded"
