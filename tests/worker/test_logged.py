"""What the worker logs is what it judged: everything that it wrote is judged again, with the same outcome."""

from dataclasses import replace
from datetime import timedelta

from consumer.core.asks import FIRST_WAKE_RETRY
from consumer.core.replay import judge
from consumer.core.service import OWN_MANAGER, TargetRef
from consumer.ports import PolicyEntry
from consumer.wire.decision import Logged, logged_from
from tests.worker.bed import WEB, Bed, policy

MINUTE = timedelta(minutes=1)
SHORT = timedelta(milliseconds=100)


async def an_eventful_day(bed: Bed) -> None:
    """Sleep, a wake without the log, a request, a late zero, another target, and the end of the policy."""
    bed.obedient = True
    bed.result("observed")
    await bed.pass_time(3 * MINUTE, timedelta(seconds=15))
    target = {"api_version": "apps/v1", "kind": "Deployment", "name": WEB.name, "uid": "t1"}
    bed.result("accepted", cause="direct", target={**target, "generation": 50})
    bed.request()
    await bed.settle()
    bed.result("observed", replicas=0, ready_replicas=0, manager=OWN_MANAGER, target={**target, "generation": 51})
    await bed.pass_time(3 * MINUTE, timedelta(seconds=15))
    bed.policies.put(PolicyEntry(WEB, policy(hash="h2", target=TargetRef("apps/v1", "Deployment", "other"))))
    await bed.pass_time(MINUTE)
    bed.policies.drop(WEB)
    await bed.flush()


async def test_every_logged_decision_can_be_judged_again_with_the_same_outcome() -> None:
    bed = Bed(policy(cooldown=MINUTE))
    async with bed.running():
        await an_eventful_day(bed)
    decisions = bed.decisions()
    logged = [each for each in map(logged_from, decisions) if isinstance(each, Logged)]
    assert len(logged) == len(decisions)
    policies = {each.judged.policy.hash: each.judged.policy for each in logged if each.judged.policy is not None}
    for decision, each in zip(decisions, logged, strict=True):
        known = policies.get(decision.inputs.policy_hash or "")
        outcome = judge(replace(each.judged, policy=known))
        assert (outcome.decision_id, outcome.action, outcome.reason) == (each.id, each.action, each.reason)
        assert outcome.state == each.after
    assert {decision.judgement for decision in decisions} == {"cycle", "request", "retry", "adoption", "release"}


async def test_a_policy_that_was_made_again_with_the_same_content_is_logged_anew() -> None:
    """Its decisions could not be repeated otherwise: it is newborn, the one before was not."""
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed")
        await bed.pass_time(MINUTE)
        bed.policies.put(PolicyEntry(WEB, policy(uid="uid-again", created_at=bed.clock.read().now)))
        await bed.settle()
        await bed.pass_time(MINUTE)
    told = [each.inputs.policy.uid for each in bed.decisions() if each.inputs.policy is not None]
    assert told == ["uid-web", "uid-again"]


async def test_a_request_behind_a_zero_that_is_reported_half_a_minute_later_wakes() -> None:
    """Nobody knew of the zero when the request was judged; the report brings the wake, without a cycle in between."""
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        bed.request()
        await bed.settle()
        bed.obey()
        await bed.pass_time(MINUTE)
        bed.request()
        await bed.pass_time(timedelta(seconds=29))
        assert len(bed.commands()) == 1
        target = {"api_version": "apps/v1", "kind": "Deployment", "name": WEB.name, "uid": "t1", "generation": 9}
        bed.result("observed", replicas=0, ready_replicas=0, manager="kubectl", target=target)
        await bed.settle()
        assert [(command.direction, command.reason.code) for command in bed.commands()[1:]] == [("up", "unfinished")]


async def test_a_wake_without_the_log_that_is_told_when_ours_is_due_again_is_a_decision_of_its_own() -> None:
    """Both are judged at one result; under one id, whoever reads the log would take one for the other."""
    bed = Bed(policy())
    target = {"api_version": "apps/v1", "kind": "Deployment", "name": WEB.name, "uid": "t1"}
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.flush()
        bed.request()
        await bed.settle()
        # Due, and the worker has not looked by itself yet.
        while bed.clock.now < bed.commands()[-1].decided_at + FIRST_WAKE_RETRY:
            await bed.pass_time(SHORT, SHORT)
        assert len(bed.commands()) == 1
        bed.result("accepted", cause="direct", target={**target, "generation": 9}, ready_replicas=0)
        await bed.flush()
    decisions = bed.decisions()
    assert [each.reason.code for each in decisions] == ["request", "adopted", "unfinished"]
    assert len({each.id for each in decisions}) == 3
