"""Calls are bounded, and wakes go first."""

import asyncio

import pytest

from consumer.handler.slots import Slots, withdraw


async def test_places_are_given_up_to_the_bound() -> None:
    slots = Slots(2)
    first, second, third = slots.ask(0), slots.ask(0), slots.ask(0)
    assert await slots.granted(first)
    assert await slots.granted(second)
    assert not third.done()
    slots.give_back()
    assert await slots.granted(third)


async def test_who_has_the_lower_rank_goes_first_and_then_who_asked_first() -> None:
    slots = Slots(1)
    slots.ask(0)
    sleep, wake, later_wake = slots.ask(2), slots.ask(0), slots.ask(0)
    served = []
    for _ in range(3):
        slots.give_back()
        served.append([turn.done() for turn in (sleep, wake, later_wake)])
    assert served == [[False, True, False], [False, True, True], [True, True, True]]


async def test_who_withdraws_is_passed_over() -> None:
    slots = Slots(1)
    slots.ask(0)
    gone, waiting = slots.ask(0), slots.ask(0)
    withdraw(gone)
    assert not await slots.granted(gone)
    slots.give_back()
    assert await slots.granted(waiting)


async def test_to_withdraw_what_was_given_changes_nothing() -> None:
    slots = Slots(1)
    turn = slots.ask(0)
    withdraw(turn)
    assert await slots.granted(turn)


@pytest.mark.parametrize("given_at_the_last_moment", [True, False])
async def test_a_place_of_somebody_who_was_cancelled_is_not_lost(given_at_the_last_moment: bool) -> None:
    slots = Slots(1)
    slots.ask(0)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(slots.granted(slots.ask(0)))
        await asyncio.sleep(0)
        if given_at_the_last_moment:
            slots.give_back()
        waiting.cancel()
    if not given_at_the_last_moment:
        slots.give_back()
    assert await slots.granted(slots.ask(0))
