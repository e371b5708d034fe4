"""Every code is documented, has a sentence, and is written the same way everywhere."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.core.case import Case
from consumer.core.policy import InvalidPeriod, Pause, PauseKind, ZeroGuard
from consumer.core.reasons import Code, Reason, because, span, stamp
from consumer.core.schedule import parse_period
from consumer.core.sentences import SENTENCES, sentence
from consumer.core.service import ServiceKey
from consumer.core.state import Prepare, Sleep, Wake
from consumer.core.telling import TOLD, told
from tests.core.stage import AROUND, ASLEEP, AWAKE, POLICY, T0, blind, idle, said

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"
RICH = replace(
    AWAKE,
    first_seen_at=T0,
    last_request_at=T0,
    prepare=Prepare("c", T0),
    wake=Wake(T0, Code.REQUEST, AROUND.cause, T0, asked=1, asked_at=T0, accepted_at=T0, generation=3),
    sleeps=(Sleep(T0, T0, "argocd"),) * 3,
    contested_since=T0,
)
STRICT = replace(
    POLICY,
    pause=Pause(PauseKind.ALL),
    period=parse_period(schedule="0 9 * * *", duration="1h"),
    zero_guard=ZeroGuard.RESOLVER,
    created_at=T0,
)
SOFT = replace(POLICY, period=InvalidPeriod("six fields"))
WITH_OLDER = replace(AROUND, conflict=ServiceKey("shop", "old"), frozen="maria")
CASES = (
    Case(STRICT, RICH, said(idle(T0)), WITH_OLDER, T0),
    Case(SOFT, ASLEEP, said(blind(T0)), AROUND, T0),
)
PARTS = ("**Meaning.**", "**What the system does.**", "**What to look at.**")


def sections() -> dict[str, str]:
    found = re.split(r"^### `(.+)`$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def test_the_page_documents_exactly_the_codes_that_exist() -> None:
    assert sorted(sections()) == sorted(Code)


@pytest.mark.parametrize("code", list(Code))
def test_a_code_is_documented_in_full(code: Code) -> None:
    section = sections()[code]
    assert [part for part in PARTS if part not in section] == []


@pytest.mark.parametrize("code", list(Code))
def test_a_code_has_a_sentence_even_without_facts(code: Code) -> None:
    text = sentence(Reason(code))
    assert text
    assert "{" not in text
    assert "  " not in text


def test_a_sentence_asks_for_no_fact_that_its_rule_does_not_tell() -> None:
    """Of each rule, whether it holds or not, in a case where all of them have something to tell."""
    for code, template in SENTENCES.items():
        wanted = set(re.findall(r"{(\w+)}", template))
        told_of = {name for case in CASES for name, _ in told(code, case).facts} if code in TOLD else wanted
        assert wanted <= told_of, code


def test_a_sentence_holds_its_facts() -> None:
    reason = because(Code.COOLING_DOWN, since=stamp(T0), what="wake accepted", left="1s")
    assert sentence(reason) == "wake accepted at 2026-03-01T12:00:00.000Z, within the cooldown; 1s left"


def test_a_fact_is_found_by_its_name() -> None:
    reason = because(Code.BUSY, trigger="prometheus#0", value=2.0)
    assert (reason.fact("value"), reason.fact("threshold")) == (2.0, None)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(seconds=45.5), "45.5s"),
        (timedelta(seconds=60), "1m00s"),
        (timedelta(minutes=14, seconds=59), "14m59s"),
        (timedelta(hours=2, minutes=3), "2h03m00s"),
        (timedelta(minutes=-2), "-2m00s"),
    ],
)
def test_a_span_is_written_for_people(length: timedelta, text: str) -> None:
    assert span(length) == text


def test_a_moment_is_written_in_milliseconds() -> None:
    assert stamp(T0 + timedelta(microseconds=123_999)) == "2026-03-01T12:00:00.123Z"
