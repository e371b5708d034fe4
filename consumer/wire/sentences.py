"""Each reason in words: what a person reads beside the code."""

from typing import Final

from consumer.core.reasons import Code, Reason

SENTENCES: Final = {
    Code.PAUSED: "paused by annotation",
    Code.INVALID_POLICY: "the policy was never valid",
    Code.UNFINISHED: "a wake is owed and not done, so it is asked again",
    Code.WAITING_READY: "a wake was accepted, and no replica is ready yet",
    Code.CONFLICT: "an older policy names the same service or target",
    Code.OUTSIDE_PERIOD: "outside the enabled period the service stays up",
    Code.INVALID_PERIOD: "the enabled period can not be read, so the service stays up",
    Code.BUSY: "a trigger says that it is busy",
    Code.ASLEEP: "it is asleep, and nothing asks for it",
    Code.FROZEN: "sleeps are frozen",
    Code.NEWBORN: "the policy is younger than its cooldown",
    Code.BLIND: "a measurement is missing, so it is not put to sleep",
    Code.STALE: "a measurement is too old, so it is not put to sleep",
    Code.CLOCK: "the clock is unsure, so it is not put to sleep",
    Code.BEHIND: "not all inputs are read yet, so it is not put to sleep",
    Code.RECENT_TRAFFIC: "a request came within the cooldown",
    Code.COOLING_DOWN: "it came up within the cooldown",
    Code.NOT_IDLE: "a trigger does not say that it is idle",
    Code.CONTESTED: "somebody else undid the last sleeps",
    Code.SLEEP_BUDGET: "too many services fell asleep at once",
    Code.AWAITING_RESOLVER: "the resolver is asked to take the traffic first",
    Code.GUARD_TIMEOUT: "the resolver did not take the traffic in time",
    Code.IDLE: "nothing was asked of it for a whole cooldown",
    Code.REQUEST: "a request came",
    Code.STALE_REQUEST: "a request came that is too old to wake for",
    Code.NO_POLICY: "no policy names this service yet",
    Code.POLICY_DELETED: "its policy was deleted, so it is left awake",
    Code.TARGET_CHANGED: "its policy names another target, so the old one is left awake",
    Code.NEVER_READY: "no replica became ready in time after a wake",
    Code.ADOPTED: "it was woken directly, without Kafka",
}


def sentence(reason: Reason) -> str:
    """Say a reason in words, with its facts behind it: `it came up within the cooldown (left 14m59s)`."""
    facts = ", ".join(f"{name} {value}" for name, value in reason.facts)
    return f"{SENTENCES[reason.code]} ({facts})" if facts else SENTENCES[reason.code]
