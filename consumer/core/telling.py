"""What the rules tell people about: measurements, hosts and warmth, put into facts only when a rule holds."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from consumer.core.answers import Answer, Answers, No, Unknown, UnknownCause
from consumer.core.reasons import Fact
from consumer.core.state import ServiceState

HOST_REMEMBERED: Final = timedelta(hours=24)
"""A host that was not heard from for this long does not have to agree to a sleep any more."""


def measured(name: str, answer: Answer) -> dict[str, Fact]:
    """What a trigger measured, as facts; JSON has no word for a number that is none."""
    facts: dict[str, Fact] = {"trigger": name}
    if isinstance(answer, Unknown):
        return facts | {"cause": answer.cause.value, "detail": answer.detail}
    evidence = answer.evidence
    facts["value"] = evidence.value if abs(evidence.value) < float("inf") else str(evidence.value)
    if evidence.threshold is not None:
        facts["threshold"] = evidence.threshold
    if evidence.text:
        facts["text"] = evidence.text
    return facts


def first_named(found: Iterable[tuple[str, Answer]]) -> tuple[str, Answer] | None:
    """The same one of several triggers whatever their order: the first by name."""
    return min(found, key=lambda named: named[0], default=None)


def blindness(answers: Answers) -> dict[str, Fact]:
    """Why these answers are not to be believed, told by the first trigger by name that is concerned."""
    unknown = first_named(
        [(each.name, one) for each in answers.triggers for one in each.each() if isinstance(one, Unknown)]
    )
    if unknown is not None:
        return measured(*unknown)
    name = min(each.name for each in answers.triggers if isinstance(each.healthy, No))
    return {"trigger": name, "cause": UnknownCause.UNHEALTHY.value, "detail": ""}


def warmest(state: ServiceState) -> tuple[datetime, str]:
    """When the service last came up or was first seen, and which of these it was."""
    moments = (
        (state.ready_at, "first ready replica after the wake"),
        (state.last_wake_at, "wake accepted"),
        (state.foreign_up_at, f"scaled up by {state.target.manager or 'others' if state.target else 'others'}"),
        (state.first_seen_at, "first seen"),
    )
    return max(((at, what) for at, what in moments if at is not None), key=lambda moment: moment[0])


def missing_hosts(state: ServiceState, now: datetime) -> tuple[str, ...] | None:
    """The hosts whose traffic the resolver has not taken since the prepare; None when there is no prepare or host."""
    heard = [host for host in state.hosts if now - host.at <= HOST_REMEMBERED]
    if state.prepare is None or not heard:
        return None
    since = state.prepare.since
    return tuple(host.incoming for host in heard if not host.allowed or host.at < since)
