"""Runs in which much happens and all is well: nothing is held against them, and what makes a wake not due is known."""

from datetime import datetime, timedelta

import pytest

from consumer.checker import Expectations, Outage, Record, Recording, Rule, check
from consumer.core.policy import Pause, PauseKind
from consumer.core.service import TargetRef
from consumer.ports import PolicyEntry, TargetKey
from schemas.topics import TOPICS, Topic
from tests.checker.runs import COOLDOWN, MINUTE, SECOND, SHOP, Shop
from tests.checker.spoiling import found, json_of, of, without
from tests.longtime.__main__ import deeds_of
from tests.longtime.drive import Drive
from tests.longtime.trace import DEFAULT_START, draw
from tests.worker.bed import Bed, policy
from tests.worker.test_logged import an_eventful_day

WEB = SHOP[0]


def rules(recording: Recording, expectations: Expectations | None = None) -> set[Rule]:
    return {violation.rule for violation in check(recording, expectations).violations}


def recording_of(bed: Bed) -> Recording:
    records = [
        Record(spec.topic.value, one.partition, one.offset, one.at, one.key, one.value, tuple(one.headers))
        for spec in TOPICS
        for one in bed.records(spec.topic)
    ]
    return Recording(tuple(records), bed.partitions)


async def test_a_direct_wake_a_late_zero_another_target_and_the_end_of_a_policy() -> None:
    bed = Bed(policy(cooldown=MINUTE))
    async with bed.running():
        await an_eventful_day(bed)
    verdict = check(recording_of(bed))
    assert verdict.violations == ()
    assert verdict.figures.decisions == verdict.figures.replayed


def _outages(drive: Drive, ends: list[tuple[datetime, str]]) -> tuple[Outage, ...]:
    times = [(at, name) for at, name in ends if name in ("kill", "stop", "start")]
    return tuple(Outage(at, then) for (at, _), (then, _) in zip(times[::2], times[1::2], strict=True))


@pytest.mark.parametrize("tidied", [False, True])
def test_days_with_workers_that_are_killed(monkeypatch: pytest.MonkeyPatch, *, tidied: bool) -> None:
    """Also of a log that forgets what is old, and keeps of each state the last."""
    trace = draw(5, 15, start=DEFAULT_START, days=3, cycle=5 * MINUTE)
    deeds = deeds_of(trace)
    drive = Drive(trace, deeds=deeds)
    if not tidied:
        monkeypatch.setattr(drive, "_tidy", lambda: None)
    assert drive.run().violations == ()
    records = [
        Record(spec.topic.value, one.partition, one.offset, one.at, one.key, one.value, tuple(one.headers))
        for spec in TOPICS
        for one in drive.log.records(spec.topic.under(drive.settings.prefix))
    ]
    outages = _outages(drive, [(deed.at, deed.name) for deed in sorted(deeds, key=lambda deed: deed.at)])
    verdict = check(Recording(records, 2), Expectations(outages=outages, wake_within=10 * SECOND))
    assert verdict.violations == ()
    assert verdict.figures.delays
    assert verdict.figures.owners > 2
    assert bool(verdict.figures.unjudged) is tidied


async def _paused(length: timedelta | None) -> Recording:
    """Asleep, paused, asked for; and after a while the pause is over, if it ends."""
    shop = Shop(policy(WEB, cooldown=COOLDOWN), partitions=1)
    async with shop.open():
        await shop.passes(3 * MINUTE)
        until = None if length is None else shop.clock.now + length
        paused = policy(WEB, cooldown=COOLDOWN, hash="h2", pause=Pause(PauseKind.ALL, until))
        shop.policies.put(PolicyEntry(WEB, paused))
        await shop.passes(MINUTE)
        shop.request(WEB)
        await shop.passes(10 * MINUTE)
    return shop.recording()


async def test_a_request_in_a_pause_wakes_nobody_while_it_lasts() -> None:
    run = await _paused(None)
    assert rules(run, Expectations(quiet=True, wake_within=SECOND)) == set()


async def test_a_request_in_a_pause_is_owed_its_wake_when_that_ends() -> None:
    run = await _paused(5 * MINUTE)
    assert rules(run, Expectations(wake_within=10 * SECOND)) == set()
    lost = without(run, lambda one: of("scale-results")(one) and b'"up"' not in (one.value or b"") and one.offset > 2)
    assert Rule.WAKES in rules(lost, Expectations(wake_within=10 * SECOND))


async def test_a_request_that_is_read_when_its_caller_is_gone_wakes_nobody() -> None:
    shop = Shop(policy(WEB, cooldown=COOLDOWN), partitions=1)
    async with shop.open():
        await shop.passes(3 * MINUTE)
    shop.request(WEB)
    shop.clock.advance(11 * MINUTE)
    async with shop.open():
        await shop.passes(MINUTE)
    run = shop.recording()
    assert shop.replicas(WEB) == 0
    assert rules(run) == set()
    # Had it been read in time, it would have been owed a wake.
    request = found(run, lambda one: one.topic == Topic.REQUEST_COUNTS)[0]
    younger = [one._replace(time=one.time + 5 * MINUTE) if one is request else one for one in run.records]
    until = request.time + 30 * MINUTE
    assert Rule.WAKES in rules(Recording(younger, 1), Expectations(until=until))


async def test_a_request_for_a_policy_that_went_wakes_nobody() -> None:
    shop = Shop(policy(WEB, cooldown=COOLDOWN), partitions=1)
    async with shop.open():
        await shop.passes(3 * MINUTE)
        shop.policies.drop(WEB)
        await shop.passes(MINUTE)
        shop.request(WEB)
        await shop.passes(2 * MINUTE)
    run = shop.recording()
    assert rules(run) == set()
    given_back = found(run, of("scale-commands", direction="up"))
    assert len(given_back) == 1
    left = without(run, lambda one: one is given_back[0])
    assert Rule.SETTLED in rules(left, Expectations(quiet=True, actual={str(WEB): 0}))


async def test_what_becomes_of_a_target_that_was_left_is_not_the_services_affair() -> None:
    shop = Shop(policy(WEB, cooldown=COOLDOWN), partitions=1)
    async with shop.open():
        await shop.passes(3 * MINUTE)
        assert shop.replicas(WEB) == 0
        other = TargetRef("apps/v1", "Deployment", "web-next")
        shop.targets.create(TargetKey(WEB.namespace, other), replicas=0, ready=0)
        shop.policies.put(PolicyEntry(WEB, policy(WEB, cooldown=COOLDOWN, hash="h2", target=other)))
        await shop.passes(3 * MINUTE)
    run = shop.recording()
    assert shop.replicas(WEB) == 0
    assert [command["reason"] for command in map(json_of, found(run, of("scale-commands", direction="up")))]
    assert rules(run, Expectations(quiet=True, actual={str(WEB): 0})) == set()
    assert rules(run, Expectations(quiet=True, actual={str(WEB): 2})) == {Rule.SETTLED}


async def test_who_handed_over_politely_wrote_nothing_after() -> None:
    shop = Shop(partitions=2)
    for _ in range(3):
        async with shop.open():
            await shop.passes(90 * SECOND)
            shop.request(WEB)
            await shop.passes(15 * SECOND)
    run = shop.recording()
    verdict = check(run, Expectations(wake_within=20 * SECOND))
    assert verdict.violations == ()
    assert verdict.figures.owners > 4
