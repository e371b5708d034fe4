"""Policies that are invalid, or can not be seen: nothing is given back or put to sleep, and requests still wake."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from consumer.core.policy import Pause, PauseKind, Policy, WakeReplicas
from consumer.core.service import Autoscaler, Mode, ServiceKey
from consumer.ports import PolicyEntry, Problem
from consumer.worker.settings import WorkerSettings
from schemas.scale_command import Direction
from schemas.topics import Topic
from tests.worker.bed import COOLDOWN, WEB, Bed, policy

INVALID = PolicyEntry(WEB, None, (Problem("a.yaml:8", "spec.cooldownPeriod", "must be a number"),))
MINUTE = timedelta(minutes=1)
Unseen = Callable[[Bed], None]


async def left_asleep(bed: Bed) -> None:
    """Let a first worker see the service asleep under its policy, and stop."""
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.flush()


def hide(bed: Bed) -> None:
    """Let the listing lack the policy, and not be whole."""
    bed.policies.drop(WEB, quietly=True)
    bed.policies.hidden = True


def break_it(bed: Bed) -> None:
    """Let the policy be invalid, and its last valid version known to nobody."""
    bed.policies.put(INVALID)


@pytest.mark.parametrize("unseen", [hide, break_it])
@pytest.mark.parametrize("wake", [WakeReplicas.MIN, WakeReplicas.PREVIOUS])
async def test_after_a_restart_a_request_wakes_what_nobody_can_see_the_policy_of(
    unseen: Unseen, wake: WakeReplicas
) -> None:
    bed = Bed(policy(min_replicas=3, wake_replicas=wake, autoscaler=Autoscaler("keda", "web"), uid="u", hash="h"))
    await left_asleep(bed)
    unseen(bed)
    async with bed.running():
        asked = bed.request()
        await bed.until(lambda: bool(bed.commands()))
        (command,) = bed.commands()
        assert (command.direction, command.replicas, command.reason.code) == ("up", 3, "request")
        assert command.autoscaler is not None
        assert (command.autoscaler.name, command.policy.uid, command.policy.hash) == ("web", "u", "h")
        assert command.triggered_at == asked.at
        assert "policy-deleted" not in bed.codes()
        # Its content is not known here, so none is logged in its name.
        assert bed.decisions()[-1].inputs.policy is None


@pytest.mark.parametrize("unseen", [hide, break_it])
async def test_a_wake_that_is_owed_is_paid_after_a_restart_that_can_not_see_the_policy(unseen: Unseen) -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        bed.request()
        await bed.flush()
    assert len(bed.commands()) == 1
    unseen(bed)
    async with bed.running():
        await bed.pass_time(timedelta(seconds=6))
        assert [command.reason.code for command in bed.commands()] == ["request", "unfinished"]
        await bed.pass_time(3 * MINUTE)
        # Between the attempts the cycles say nothing else of it.
        assert set(bed.codes()) <= {"request", "unfinished", "invalid-policy", "blind", "asleep", "cooling-down"}
        assert "invalid-policy" not in bed.codes()
        for command in bed.commands():
            bed.result("accepted", command_id=command.id, cause="command")
        await bed.flush()
        asked = len(bed.commands())
        await bed.pass_time(10 * MINUTE)
        assert len(bed.commands()) == asked


@pytest.mark.parametrize("unseen", [hide, break_it])
async def test_what_nobody_can_see_the_policy_of_is_not_put_to_sleep(unseen: Unseen) -> None:
    bed = Bed(policy(cooldown=MINUTE))
    async with bed.running():
        bed.result("observed")
        await bed.flush()
    unseen(bed)
    async with bed.running():
        await bed.pass_time(COOLDOWN)
        assert bed.commands() == []
        assert bed.codes()[-1] == "invalid-policy"
        bed.policies.hidden = False
        bed.policies.put(PolicyEntry(WEB, policy(cooldown=MINUTE)))
        await bed.pass_time(2 * MINUTE)
        assert {command.direction for command in bed.commands()} == {Direction.ZERO}


async def test_a_deletion_that_was_held_back_is_made_up_for_once_all_can_be_read() -> None:
    bed = Bed(policy(uid="u"))
    await left_asleep(bed)
    hide(bed)
    async with bed.running() as worker:
        await bed.pass_time(2 * MINUTE)
        assert bed.commands() == []
        assert WEB in worker.states()
        bed.policies.hidden = False
        await bed.pass_time(MINUTE)
        (command,) = bed.commands()
        assert (command.direction, command.reason.code, command.policy.uid) == ("up", "policy-deleted", "u")
        assert WEB not in worker.states()
        assert bed.records(Topic.STATE)[-1].value is None


async def test_a_deletion_told_while_not_all_can_be_read_waits_too() -> None:
    bed = Bed(policy())
    async with bed.running() as worker:
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.flush()
        bed.policies.hidden = True
        bed.policies.drop(WEB)
        await bed.pass_time(MINUTE)
        assert (bed.commands(), list(worker.states())) == ([], [WEB])
        bed.policies.hidden = False
        await bed.pass_time(MINUTE)
        assert [command.reason.code for command in bed.commands()] == ["policy-deleted"]


def paused(kind: PauseKind) -> Policy:
    return policy(pause=Pause(kind))


@pytest.mark.parametrize("unseen", [hide, break_it])
@pytest.mark.parametrize(
    ("known", "wakes", "said"),
    [
        (paused(PauseKind.ALL), 0, "paused"),
        (paused(PauseKind.SLEEP), 1, "request"),
        (policy(mode=Mode.OBSERVE), 0, "request"),
        (policy(mode=Mode.WAKE_ONLY), 1, "request"),
    ],
)
async def test_the_last_known_mode_and_pause_hold_on(unseen: Unseen, known: Policy, wakes: int, said: str) -> None:
    bed = Bed(known)
    await left_asleep(bed)
    unseen(bed)
    async with bed.running():
        bed.request()
        await bed.flush()
        assert len(bed.commands()) == wakes
        last = bed.decisions()[-1]
        assert (last.reason.code, last.withheld) == (said, known.mode is Mode.OBSERVE)


async def test_an_unseen_service_is_not_one_of_nobodys() -> None:
    bed = Bed(policy(), settings=WorkerSettings(most_owed=0))
    await left_asleep(bed)
    hide(bed)
    async with bed.running() as worker:
        bed.request()
        bed.request(ServiceKey("shop", "nobodys"))
        await bed.pass_time(11 * MINUTE)
        assert list(worker.states()) == [WEB]
        assert bed.commands()[0].reason.code == "request"


async def test_a_service_of_an_invalid_policy_is_not_written_at_every_cycle() -> None:
    bed = Bed(policy(mode=Mode.WAKE_ONLY))
    await left_asleep(bed)
    break_it(bed)
    async with bed.running():
        await bed.pass_time(MINUTE)
        written = len(bed.records(Topic.STATE))
        await bed.pass_time(3 * MINUTE)
        assert len(bed.records(Topic.STATE)) == written
