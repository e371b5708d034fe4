"""Of two commands for one service the one with the higher `seq` counts."""

from consumer.core.service import ServiceKey
from consumer.handler.order import Order, overtakes
from tests.handler.samples import OTHER_REF, WEB, seen, up, zero

CART = ServiceKey("shop", "cart")
BOOK = ServiceKey("shop", "book")


def test_a_lower_seq_than_the_highest_seen_is_not_admitted() -> None:
    order = Order(10)
    assert order.admit(up(5))
    assert not order.admit(zero(4, seen()))
    assert order.admit(up(6))


def test_the_same_seq_again_is_a_redelivery_and_admitted() -> None:
    order = Order(10)
    assert order.admit(up(5))
    assert order.admit(up(5))
    assert not order.overtaken(up(5))


def test_a_newer_command_overtakes_what_was_admitted_before() -> None:
    order = Order(10)
    order.admit(zero(5, seen()))
    assert not order.overtaken(zero(5, seen()))
    order.admit(up(6))
    assert order.overtaken(zero(5, seen()))
    assert not order.overtaken(up(6))


def test_services_do_not_overtake_one_another() -> None:
    order = Order(10)
    order.admit(up(9))
    assert order.admit(up(1, key=CART))


def test_an_up_that_gives_an_old_target_back_is_never_overtaken_by_one_for_the_new_target() -> None:
    release, wake = up(5), up(6, target=OTHER_REF)
    order = Order(10)
    order.admit(wake)
    assert order.admit(release)
    assert not order.overtaken(release)
    assert not overtakes(wake, release)


def test_a_zero_for_an_old_target_is_overtaken_all_the_same() -> None:
    assert overtakes(up(6, target=OTHER_REF), zero(5, seen()))


def test_beyond_its_room_the_service_that_was_silent_longest_is_forgotten() -> None:
    order = Order(2)
    order.admit(up(5))
    order.admit(up(5, key=CART))
    order.admit(up(6))
    order.admit(up(5, key=BOOK))
    assert order.keys() == {WEB, BOOK}
    assert order.admit(up(1, key=CART))


def test_what_another_handler_answers_for_is_forgotten() -> None:
    order = Order(10)
    order.admit(up(5))
    order.forget(frozenset({WEB, CART}))
    assert order.admit(up(1))
