"""How a service is named, and which of two modes is stricter."""

import pytest

from consumer.core.service import Mode, ServiceKey, strictest


def test_a_service_is_read_as_it_is_written() -> None:
    key = ServiceKey.parse("shop/web")
    assert (key, str(key), bytes(key)) == (ServiceKey("shop", "web"), "shop/web", b"shop/web")


@pytest.mark.parametrize("text", ["", "shop", "shop/", "/web", "shop/web/extra"])
def test_a_text_that_names_no_service_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r'write "namespace/name", for example "shop/web"'):
        ServiceKey.parse(text)


@pytest.mark.parametrize("one", list(Mode))
@pytest.mark.parametrize("other", list(Mode))
def test_the_mode_that_carries_out_less_is_stricter(one: Mode, other: Mode) -> None:
    order = [Mode.FULL, Mode.WAKE_ONLY, Mode.OBSERVE]
    assert strictest(one, other) is max(one, other, key=order.index)
