"""A worker that lacks one rule, at work for a while: the checker, which does not have that rule from it, misses it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from consumer.checker import Rule, check
from consumer.core import decide
from consumer.core.answers import Answers, TriggerAnswers, Unknown, UnknownCause
from consumer.core.policy import Pause, PauseKind, Policy, ZeroGuard
from consumer.core.rules import RULES
from consumer.core.schedule import EnabledPeriod, parse_schedule
from consumer.core.service import ServiceKey
from schemas.topics import Topic
from tests.checker.runs import COOLDOWN, MINUTE, SECOND, SHOP, Shop
from tests.worker.bed import T0, Says, policy

WEB = SHOP[0]
FREEZE = (
    b'{"cluster":"default","scope":"*","by":"maria","at":"2026-01-31T12:00:00.000Z","why":"sale",'
    b'"freeze":{"by":"maria","at":"2026-01-31T12:00:00.000Z","why":"sale"}}'
)
Life = Callable[[Shop], Awaitable[None]]


class Blind(Says):
    """Judges to whom nobody answers."""

    def _answers(self, now: datetime) -> Answers:
        unknown = Unknown(UnknownCause.TIMEOUT, now, "no answer")
        return Answers((TriggerAnswers("prometheus#0", unknown, unknown, unknown),))


async def _nothing(shop: Shop) -> None:
    """Nobody does anything: in that time it would have slept twice."""
    await shop.passes(5 * MINUTE)


async def _asked_for_while_it_is_up(shop: Shop) -> None:
    await shop.passes(4 * MINUTE)
    for _ in range(2):
        shop.request(WEB)
        await shop.passes(90 * SECOND)
    await shop.passes(2 * MINUTE)


async def _put_up_by_hand(shop: Shop) -> None:
    await shop.passes(4 * MINUTE)
    shop.by_hand(WEB, 1)
    await shop.passes(MINUTE)


async def _put_up_by_hand_again_and_again(shop: Shop) -> None:
    for _ in range(4):
        await shop.passes(4 * MINUTE)
        shop.by_hand(WEB, 1)
    await shop.passes(4 * MINUTE)


async def _frozen(shop: Shop) -> None:
    shop.raw(Topic.CONTROL, FREEZE, 0, key=b"*")
    await shop.passes(5 * MINUTE)


async def _of_an_unsure_clock(shop: Shop) -> None:
    shop.clock.sure = False
    await shop.passes(5 * MINUTE)


async def _busy(shop: Shop) -> None:
    shop.judges.idle = False
    await shop.passes(5 * MINUTE)


async def _of_two_policies(shop: Shop) -> None:
    shop.policies.conflicts[WEB] = ServiceKey("shop", "older")
    await shop.passes(5 * MINUTE)


@dataclass(frozen=True)
class Case:
    """What a worker lacks, what happens to it, and what is said of that."""

    lacks: tuple[str, ...]
    life: Life
    said: str
    policies: tuple[Policy, ...] = field(default_factory=lambda: (policy(WEB, cooldown=COOLDOWN),))
    judges: type[Says] = Says


def one(**changes: object) -> tuple[Policy, ...]:
    return (policy(WEB, cooldown=COOLDOWN, **changes),)


NIGHTS = EnabledPeriod(parse_schedule("0 22 * * *"), timedelta(hours=8))
FLEET = tuple(policy(ServiceKey("shop", f"s{number}"), cooldown=COOLDOWN) for number in range(20))
CASES = (
    Case(("traffic_is_recent",), _asked_for_while_it_is_up, "a request at"),
    Case(("service_is_warm",), _put_up_by_hand, "somebody else scaled it up"),
    Case(("sleep_is_contested",), _put_up_by_hand_again_and_again, "its last three sleeps were undone"),
    Case(("sleeps_are_frozen",), _frozen, "sleeps were frozen by maria"),
    Case(("sleeps_are_paused",), _nothing, "paused (sleep)", one(pause=Pause(PauseKind.SLEEP))),
    Case(("everything_is_paused", "sleeps_are_paused"), _nothing, "paused (all)", one(pause=Pause(PauseKind.ALL))),
    Case(("policy_is_newborn",), _nothing, "its cooldown is", one(created_at=T0 + 2 * MINUTE)),
    Case(("outside_of_period",), _nothing, "it is outside its enabledPeriod", one(period=NIGHTS)),
    Case(("policies_conflict",), _of_two_policies, "another, older policy names"),
    Case(("clock_is_unsure",), _of_an_unsure_clock, "the clock was not sure"),
    Case(("trigger_is_busy", "trigger_is_not_idle"), _busy, "called it busy"),
    Case(("measurements_are_missing", "trigger_is_not_idle"), _nothing, "had no answer", one(), Blind),
    Case(("sleep_budget_is_spent",), _nothing, "services of partition 0 were put to sleep", FLEET),
    Case(("resolver_has_to_agree",), _nothing, "the resolver was not asked", one(zero_guard=ZeroGuard.RESOLVER)),
)


async def lived(case: Case) -> set[str]:
    """What the checker says of wrong sleeps in a run of this worker."""
    shop = Shop(*case.policies, partitions=1)
    shop.judges = case.judges()
    async with shop.open():
        await case.life(shop)
    return {one.sentence for one in check(shop.recording()).violations if one.rule is Rule.SLEEPS}


@pytest.mark.parametrize("case", CASES, ids=lambda case: " and ".join(case.lacks))
async def test_a_worker_that_lacks_a_rule_is_found_by_its_topics(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    assert await lived(case) == set()
    monkeypatch.setattr(decide, "RULES", tuple(rule for rule in RULES if rule.__name__ not in case.lacks))
    sentences = await lived(case)
    assert any(case.said in sentence for sentence in sentences), sentences
