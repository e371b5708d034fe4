"""What was applied to a service that went is known when it comes back, and not kept for ever."""

from consumer.core.service import ServiceKey
from consumer.core.state import Mark
from consumer.worker.forgotten import Forgotten
from tests.worker.bed import T0

KEYS = [ServiceKey("shop", f"preview-{number}") for number in range(4)]


def mark(offset: int) -> tuple[Mark, ...]:
    return (Mark("elasti.request-counts", 0, offset, T0),)


def test_the_oldest_go_first_and_each_is_given_back_once() -> None:
    forgotten = Forgotten(room=2)
    for offset, key in enumerate(KEYS[:3]):
        forgotten.keep(key, mark(offset))
    forgotten.keep(KEYS[1], mark(7))
    forgotten.keep(KEYS[3], mark(3))
    assert [forgotten.back(key) for key in KEYS] == [(), mark(7), (), mark(3)]
    assert forgotten.back(KEYS[1]) == ()
