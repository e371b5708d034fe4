"""A reason in a few words."""

import pytest

from consumer.core.reasons import Code
from consumer.insight.brief import brief
from schemas.parts import Fact, Reason

STAMP = "2026-01-31T09:30:00.123Z"
NAMES = (
    *("accepted", "age", "by", "cause", "cooldown", "due", "kind", "last_request", "limit", "manager", "older"),
    *("requested", "since", "target", "threshold", "timeout", "trigger", "trouble", "value", "what", "woken"),
)


def test_moments_are_told_by_the_time_of_day() -> None:
    reason = Reason(code="recent-traffic", message="long", facts={"last_request": STAMP, "left": "5s"})
    assert brief(reason) == "request at 09:30:00, cooling down"


def test_numbers_are_told_without_needless_digits() -> None:
    facts: dict[str, Fact] = {"trigger": "prometheus#0", "value": 3.0, "threshold": 0.5}
    assert brief(Reason(code="busy", message="long", facts=facts)) == "prometheus#0 is 3, not below 0.5"


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_its_few_words(code: Code) -> None:
    said = brief(Reason(code=code, message="the whole sentence", facts=dict.fromkeys(NAMES, "x")))
    assert said != "the whole sentence"
    assert len(said) <= 50


@pytest.mark.parametrize("code", ["from-the-future", "busy"])
def test_what_can_not_be_said_briefly_is_said_by_its_sentence(code: str) -> None:
    assert brief(Reason(code=code, message=f"something of {STAMP}", facts={})) == "something of 09:30:00"
