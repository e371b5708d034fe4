"""A sleep that was decided without knowledge of a request is told from one that was decided with it."""

from dataclasses import replace

import pytest

from consumer.core.outcome import Command
from consumer.core.service import ServiceKey
from consumer.handler.knocks import Knocks
from tests.handler.samples import MS, SECOND, T0, WEB, prepare, seen, up, zero

CART = ServiceKey("shop", "cart")


def decided(command: Command, after: int) -> Command:
    """The same command, decided so many seconds after T0."""
    return replace(command, decided_at=T0 + after * SECOND)


@pytest.mark.parametrize("command", [zero(1, seen()), prepare(1)])
def test_while_a_request_is_under_way_or_untold_no_sleep_can_know_of_it(command: Command) -> None:
    knocks, late = Knocks(9), decided(command, 3600)
    assert not knocks.unknown_to(late)
    knocks.came(WEB)
    assert knocks.unknown_to(late)
    knocks.found_up(WEB, T0)
    knocks.ended(WEB, T0 + SECOND)
    assert knocks.unknown_to(late)
    knocks.told(WEB, T0, T0 + 60 * SECOND)
    assert not knocks.unknown_to(late)


def test_a_wake_knows_all_that_it_needs() -> None:
    knocks = Knocks(9)
    knocks.came(WEB)
    assert not knocks.unknown_to(up(1))


def test_of_other_services_nothing_is_said() -> None:
    knocks = Knocks(9)
    knocks.came(CART)
    assert not knocks.unknown_to(zero(1, seen()))


def test_what_was_decided_before_the_log_had_it_was_decided_without_it_give_or_take_some_seconds() -> None:
    knocks = Knocks(9)
    knocks.told(WEB, T0, T0 + 60 * SECOND)
    sleep = zero(1, seen())
    assert knocks.unknown_to(decided(sleep, 59))
    assert knocks.unknown_to(replace(sleep, decided_at=T0 + 64 * SECOND - MS))
    assert not knocks.unknown_to(decided(sleep, 64))


def test_a_later_request_is_still_to_be_told_when_the_log_has_an_earlier_one() -> None:
    knocks = Knocks(9)
    knocks.found_up(WEB, T0)
    knocks.found_up(WEB, T0 + SECOND)
    knocks.told(WEB, T0, T0 + 2 * SECOND)
    assert knocks.unknown_to(decided(zero(1, seen()), 3600))


def test_a_request_that_woke_its_target_or_failed_is_over_when_it_is_answered() -> None:
    knocks = Knocks(9)
    knocks.came(WEB)
    knocks.ended(WEB, T0)
    assert knocks.unknown_to(decided(zero(1, seen()), 3))
    assert not knocks.unknown_to(decided(zero(1, seen()), 4))


def test_beyond_its_room_the_service_that_was_told_of_longest_ago_is_forgotten() -> None:
    knocks = Knocks(1)
    knocks.told(WEB, T0, T0)
    knocks.told(CART, T0, T0)
    assert not knocks.unknown_to(zero(1, seen()))
    assert knocks.unknown_to(zero(1, seen(), key=CART))
