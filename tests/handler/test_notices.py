"""Events: what they say, that equal ones are one, that they never are a flood, and that they hold nothing up."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.adapters.memory_notices import MemoryNotices
from consumer.core.reasons import Code
from consumer.core.service import Phase
from consumer.handler.notices import Allowance, Outbox, camel, of_answer, of_code
from consumer.ports import Notice, ResourceRef, TargetBusyError, TargetForbiddenError
from tests.handler.bed import Bed, settled
from tests.handler.samples import SECOND, T0, TARGET, WEB, prepare, seen, up, zero

REF = ResourceRef("shop", "web-policy", "r1")


def test_a_success_is_told_on_the_target_and_on_the_resource_with_the_reason() -> None:
    on_target, on_resource = of_answer(up(1, replicas=3), Phase.ACCEPTED, seen(), "", REF)
    assert (on_target.about, on_target.target_uid) == (TARGET, "u1")
    assert (on_resource.about, on_resource.target_uid) == (REF, None)
    assert on_resource.message.startswith("Successfully scaled 3 replicas for Deployment/web: ")
    assert on_resource.message.endswith("(request)")
    assert not on_resource.warning


def test_a_failure_is_a_warning_and_says_what_was_wrong() -> None:
    (told,) = of_answer(zero(1, seen()), Phase.FAILED, None, "403: no right to patch", None)
    assert (told.reason, told.warning, told.target_uid) == ("FailedToScale", True, None)
    assert told.message == "Failed to scale 0 replicas for Deployment/web: 403: no right to patch"


@pytest.mark.parametrize("phase", [Phase.UNCHANGED, Phase.SUPERSEDED, Phase.DRAINING, Phase.READY])
def test_what_changed_nothing_is_no_event(phase: Phase) -> None:
    assert of_answer(prepare(1), phase, seen(), "", REF) == ()


@pytest.mark.parametrize("code", list(Code))
def test_only_what_is_no_part_of_a_good_day_is_told_when_it_comes_to_be(code: Code) -> None:
    told = of_code(REF, code, "why")
    known = {"never-ready", "contested", "guard-timeout", "frozen", "invalid-period"}
    assert (told is not None) == (code.value in known)
    if told is not None:
        assert (told.reason, told.message) == (camel(code), "why")
        assert told.warning == (code is not Code.FROZEN)


def notice(message: str = "m", about: str = "web") -> Notice:
    return Notice(ResourceRef("shop", about, about), "Reason", message)


def test_equal_ones_wait_as_one_with_their_count_and_times() -> None:
    outbox = Outbox(Allowance(1, SECOND), Allowance(10, SECOND), room=5)
    for after in range(3):
        assert outbox.put(notice(), T0 + after * SECOND)
    pending = outbox.take(T0 + 3 * SECOND)
    assert pending is not None
    assert (pending.count, pending.first, pending.last) == (3, T0, T0 + 2 * SECOND)
    assert len(outbox) == 0


def test_there_is_room_for_so_many_different_ones() -> None:
    outbox = Outbox(Allowance(1, SECOND), Allowance(10, SECOND), room=2)
    assert [outbox.put(notice(text), T0) for text in "abc"] == [True, True, False]
    assert outbox.put(notice("a"), T0)


def test_an_object_that_used_its_allowance_up_holds_up_no_other() -> None:
    outbox = Outbox(Allowance(1, 10 * SECOND), Allowance(10, SECOND), room=9)
    for about, text in (("loud", "1"), ("loud", "2"), ("quiet", "3")):
        outbox.put(notice(text, about), T0)
    texts = [pending.notice.message for pending in iter(lambda: outbox.take(T0), None)]
    assert texts == ["1", "3"]
    assert outbox.take(T0 + timedelta(seconds=9, milliseconds=999)) is None
    assert outbox.take(T0 + 10 * SECOND) is not None


@given(
    times=st.lists(st.integers(0, 100), min_size=1, max_size=120).map(sorted),
    objects=st.lists(st.sampled_from("ab"), min_size=120, max_size=120),
)
def test_never_more_than_the_allowances_in_any_order_and_nothing_is_lost(times: list[int], objects: list[str]) -> None:
    outbox = Outbox(Allowance(3, 10 * SECOND), Allowance(4, 5 * SECOND), room=1_000)
    told: list[tuple[int, str, int]] = []
    for number, (at, about) in enumerate(zip(times, objects, strict=False)):
        outbox.put(notice(str(number % 7), about), T0 + at * SECOND)
        while (pending := outbox.take(T0 + at * SECOND)) is not None:
            assert isinstance(pending.notice.about, ResourceRef)
            told.append((at, pending.notice.about.name, pending.count))
    for end in range(101):
        until = [one for one in told if one[0] <= end]
        assert len(until) <= 4 + end / 5
        assert all(sum(one[1] == about for one in until) <= 3 + end / 10 for about in "ab")
    while len(outbox):
        pending = outbox.take(T0 + 10_000 * SECOND * (len(told) + 1))
        assert pending is not None
        told.append((0, "", pending.count))
    assert sum(count for _, _, count in told) == len(times)


@pytest.fixture
def people() -> MemoryNotices:
    return MemoryNotices()


@pytest.fixture
def bed(people: MemoryNotices) -> Bed:
    bed = Bed()
    bed.notices = people
    bed.serve(WEB)
    bed.targets.create(TARGET, replicas=0)
    return bed


async def test_an_event_that_can_not_be_written_holds_no_wake_up_and_is_given_up(
    bed: Bed, people: MemoryNotices
) -> None:
    people.fail(*[TargetBusyError("500")] * 3, TargetForbiddenError("403"))
    async with bed.running():
        await settled()
        bed.command(up(1))
        await settled()
        bed.command(up(2, replicas=2))
        await settled()
        assert "accepted" in bed.phases()
        for _ in range(5):
            await bed.later(SECOND)
    assert [result for what, result in bed.told.writes if what == "event"][:4] == ["busy", "busy", "busy", "forbidden"]


async def test_a_flood_is_told_bit_by_bit(bed: Bed, people: MemoryNotices) -> None:
    async with bed.running():
        await settled()
        for seq in range(1, 13):
            bed.targets.scale_by_hand(TARGET, 0)
            bed.command(replace(up(seq), replicas=seq))
            await settled()
        assert len(people.told) == 10
        for _ in range(61):
            await bed.later(SECOND)
        assert len(people.told) == 12
