"""Each reason as one plain English sentence with its facts filled in, for whoever is woken at 3 a.m."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from consumer.core.reasons import Code, Reason

SENTENCES: Final[Mapping[Code, str]] = MappingProxyType(
    {
        Code.PAUSED: "paused by annotation ({kind}, until {until})",
        Code.INVALID_POLICY: "there is no valid policy for it, so it is not put to sleep",
        Code.UNFINISHED: "a wake is owed since {since} because of {why}: {trouble}; attempts: {asked}, next {next}",
        Code.WAITING_READY: "a wake was accepted at {accepted} because of {why}, and no replica is ready yet",
        Code.CONFLICT: "the older policy {older} names the same service or target and has the say",
        Code.OUTSIDE_PERIOD: "it stays up outside its enabled period ({schedule} for {duration}; next {next_start})",
        Code.INVALID_PERIOD: "it stays up because its enabled period can not be read: {problem}",
        Code.BUSY: "{trigger} says busy: {value} is not below {threshold}",
        Code.ASLEEP: "asleep since {since}, put to zero by {by}, and nothing asks for it",
        Code.FROZEN: "sleeps are frozen by {by}",
        Code.NEWBORN: "its policy was created at {created} and watches for a whole cooldown first; {left} left",
        Code.BLIND: "it is not put to sleep blind: {trigger} says {cause} ({detail})",
        Code.STALE: "it is not put to sleep on old measurements: {trigger} is {age} old, the limit is {limit}",
        Code.CLOCK: "it is not put to sleep while the clock is unsure by more than a second",
        Code.BEHIND: "it is not put to sleep while requests may wait unread in the topics",
        Code.RECENT_TRAFFIC: "a request came at {last_request}, within the cooldown; {left} left",
        Code.COOLING_DOWN: "{what} at {since}, within the cooldown; {left} left",
        Code.NOT_IDLE: "{trigger} does not say idle: {value} is not below {threshold}",
        Code.CONTESTED: "{manager} undid the last {sleeps_undone} sleeps, so it is left up until {until}",
        Code.SLEEP_BUDGET: "too many services fell asleep in the last ten minutes, so this one waits",
        Code.AWAITING_RESOLVER: "it sleeps once the resolver has taken the traffic; it waits for {waits_for}",
        Code.GUARD_TIMEOUT: "the resolver did not take the traffic within {timeout} of {asked}; missing: {waits_for}",
        Code.IDLE: "nothing was asked of it for a whole cooldown ({cooldown}), and every trigger says idle",
        Code.REQUEST: "a request came at {requested} ({at})",
        Code.STALE_REQUEST: "a request of {requested} is older than {limit}: its caller is gone, so nobody is woken",
        Code.NO_POLICY: "a request came, but no policy names this service yet; the wake is owed for a while",
        Code.POLICY_DELETED: "its policy was deleted, so {target} is given back awake",
        Code.TARGET_CHANGED: "its policy names another target, so the old one, {target}, is given back awake",
        Code.NEVER_READY: "no replica became ready within {timeout} of the wake accepted at {accepted}",
        Code.ADOPTED: "it was woken directly at {woken}, without Kafka",
    }
)


def sentence(reason: Reason) -> str:
    """Say a reason in one sentence; a fact that is not there is left out."""
    facts = _Facts((name, f"{value:g}" if isinstance(value, float) else value) for name, value in reason.facts)
    text = SENTENCES[reason.code].format_map(facts)
    # What was known of nothing leaves no empty brackets and no double spaces.
    return " ".join(text.replace("()", "").split())


class _Facts(dict[str, object]):
    """The facts by name; a missing one reads as nothing, but for what older records tell by another name."""

    def __missing__(self, name: str) -> object:
        return self.get("due", "") if name == "why" else ""
