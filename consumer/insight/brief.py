"""A reason in a few words, for boards and lines where the whole sentence would be cut."""

import re
from typing import Final

from consumer.core.reasons import Code
from schemas.parts import Reason

_BRIEFS: Final = {
    Code.PAUSED: "paused by annotation ({kind})",
    Code.INVALID_POLICY: "no valid policy, so it is not put to sleep",
    Code.UNFINISHED: "a wake is owed ({due}): {trouble}",
    Code.WAITING_READY: "woken ({due}), no replica is ready yet",
    Code.CONFLICT: "the older policy {older} has the say",
    Code.OUTSIDE_PERIOD: "stays up outside its enabled period",
    Code.INVALID_PERIOD: "stays up: its enabled period is unreadable",
    Code.BUSY: "{trigger} is {value}, not below {threshold}",
    Code.ASLEEP: "nothing asks for it (zero by {by})",
    Code.FROZEN: "sleeps are frozen by {by}",
    Code.NEWBORN: "its policy is new, watched for a cooldown first",
    Code.BLIND: "not put to sleep blind: {cause}",
    Code.STALE: "{trigger} was measured {age} ago, too old",
    Code.CLOCK: "not put to sleep: the clock is unsure",
    Code.BEHIND: "not put to sleep: requests may wait unread",
    Code.RECENT_TRAFFIC: "request at {last_request}, cooling down",
    Code.COOLING_DOWN: "{what} {since}, cooling down",
    Code.NOT_IDLE: "{trigger} is {value}, not below {threshold}",
    Code.CONTESTED: "{manager} keeps undoing its sleeps",
    Code.SLEEP_BUDGET: "waits: too many fell asleep lately",
    Code.AWAITING_RESOLVER: "waits for the resolver to take the traffic",
    Code.GUARD_TIMEOUT: "no resolver took the traffic in {timeout}",
    Code.IDLE: "quiet for its whole cooldown ({cooldown})",
    Code.REQUEST: "a request came at {requested}",
    Code.STALE_REQUEST: "the request is older than {limit}",
    Code.NO_POLICY: "a request came, but no policy names it yet",
    Code.POLICY_DELETED: "its policy was deleted: given back awake",
    Code.TARGET_CHANGED: "its target changed: {target} given back awake",
    Code.NEVER_READY: "no replica became ready within {timeout}",
    Code.ADOPTED: "woken directly at {woken}, without Kafka",
}

_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\.\d{3}Z")


def brief(reason: Reason) -> str:
    """Say a reason in a few words, moments as the time of day; a code of a newer version by its whole sentence."""
    if reason.code not in _BRIEFS:
        return _STAMP.sub(r"\1", reason.message)
    facts = {name: f"{value:g}" if isinstance(value, float) else value for name, value in reason.facts.items()}
    try:
        text = _BRIEFS[Code(reason.code)].format_map(facts)
    except KeyError:
        # A reason without one of its facts still has its sentence.
        text = reason.message
    return _STAMP.sub(r"\1", text)
