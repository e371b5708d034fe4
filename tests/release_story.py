"""Plays a story in which everything is written that a release writes: `python -m tests.release_story FOLDER`.

Its records are kept under `tests/golden/release-N`, a file a topic, a line a record, by whoever makes release N; from
then on every later version has to read them (`tests/test_release_0.py`).
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from consumer.core.answers import Answers, Evidence, No, TriggerAnswers, Unknown, UnknownCause, Yes
from consumer.core.policy import InvalidPeriod, Pause, PauseKind, Policy, Trigger, WakeReplicas, ZeroGuard
from consumer.core.schedule import parse_period
from consumer.core.service import Autoscaler, Mode, ServiceKey
from consumer.ports import Output, PolicyEntry, Subject
from schemas.control import Control, Freeze, ModeSetting
from schemas.topics import Topic
from tests.worker.bed import COOLDOWN, T0, Bed, Says, policy

WRITTEN = (
    Topic.REQUEST_COUNTS,
    Topic.HOSTS,
    Topic.SCALE_COMMANDS,
    Topic.SCALE_RESULTS,
    Topic.SERVICE_STATUS,
    Topic.CONTROL,
    Topic.DECISIONS,
    Topic.STATE,
)
MINUTE = timedelta(minutes=1)
STEP = timedelta(seconds=10)
DAY = timedelta(days=1)


def key(name: str) -> ServiceKey:
    """A service of the story."""
    return ServiceKey("shop", name)


COUNTED = (Trigger("request-count", (("threshold", "1"), ("window", "5m"))),)
BY_NIGHT = parse_period(schedule="TZ=Europe/Berlin 0 20 * * 1-5", duration="10h")
POLICIES = (
    policy(key("woken")),
    policy(key("ready")),
    policy(key("busy")),
    policy(key("blind")),
    policy(key("asleep"), wake_replicas=WakeReplicas.PREVIOUS, autoscaler=Autoscaler("keda", "asleep-scaler")),
    policy(key("guarded"), zero_guard=ZeroGuard.RESOLVER),
    policy(key("counted"), triggers=COUNTED),
    policy(key("period"), period=BY_NIGHT),
    policy(key("unreadable"), period=InvalidPeriod("schedule must have exactly 5 fields")),
    policy(key("held"), pause=Pause(PauseKind.ALL, T0 + DAY)),
    policy(key("resting"), pause=Pause(PauseKind.SLEEP)),
    policy(key("failed")),
    policy(key("unanswered")),
    policy(key("contested")),
    policy(key("direct")),
    policy(key("newborn"), created_at=T0 + MINUTE),
    policy(key("observed"), mode=Mode.OBSERVE),
    policy(key("deleted")),
    policy(key("frozen")),
)
_GENERATIONS = itertools.count(2)
ASLEEP = ("woken", "held", "failed", "unanswered", "direct", "period")


class Moods(Says):
    """Everybody is idle, but for one that is busy and one of which nothing is known."""

    async def sweep(self, subjects: Sequence[Subject], now: datetime) -> Mapping[ServiceKey, Answers]:
        return {subject.policy.key: self._mood(subject.policy, now) for subject in subjects}

    def window_of(self, policy: Policy) -> timedelta | None:
        return 5 * MINUTE if policy.triggers == COUNTED else None

    def _mood(self, policy: Policy, now: datetime) -> Answers:
        busy, calm = Evidence(9.0, 1.0, "9 requests"), Evidence(0.0, 1.0)
        name = f"{policy.triggers[0].type}#0"
        if policy.key.name == "blind":
            unknown = Unknown(UnknownCause.TIMEOUT, now, "no answer within 5s")
            return Answers((TriggerAnswers(name, Yes(Evidence(1.0), now), unknown, unknown),))
        if policy.key.name == "busy":
            return Answers((TriggerAnswers(name, Yes(Evidence(1.0), now), No(busy, now), Yes(busy, now)),))
        return Answers((TriggerAnswers(name, Yes(Evidence(1.0), now), Yes(calm, now), No(calm, now)),), MINUTE / 60)


async def play() -> Bed:
    """Let it all happen."""
    bed = Bed(*POLICIES)
    bed.judges = Moods()
    switch(bed)
    async with bed.running():
        for each in POLICIES:
            replicas = 0 if each.key.name in ASLEEP else 3
            bed.result("observed", each.key, replicas=replicas, ready_replicas=replicas, manager="kubectl")
        await bed.flush()
        await first_minutes(bed)
        # Everybody's cooldown ends: they fall asleep, or say why not.
        await bed.pass_time(COOLDOWN + 2 * MINUTE, STEP)
        await fight(bed)
        await last_minutes(bed)
    return bed


def switch(bed: Bed) -> None:
    """What people switched before it began."""
    freeze = Freeze(by="maria", at=T0, why="sale", until=T0 + DAY)
    mode = ModeSetting(mode="wake-only", by="paul", at=T0, why="first week")
    known = {"cluster": "default", "by": "maria", "at": T0, "why": "sale"}
    for scope, more in (("shop/frozen", {"freeze": freeze}), ("office/*", {"mode": mode}), ("*", {})):
        control = Control.model_validate({**known, "scope": scope, **more}, by_name=True)
        bed.log.append(Output(bed.name(Topic.CONTROL), 0, scope.encode(), control.encode()))


async def first_minutes(bed: Bed) -> None:
    """Requests, hosts, a direct wake, a policy that goes, a service that nobody declared."""
    trace = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
    for name in ("woken", "held", "failed", "unanswered", "counted", "undeclared"):
        bed.request(key(name), 3, trace)
    host(bed, "guarded", allowed=False)
    facts = {"cause": "direct", "triggered_at": bed.clock.now, "manager": "elasti"}
    bed.result("accepted", key("direct"), replicas=1, ready_replicas=0, **facts)
    await bed.flush()
    answer(bed, "woken", "accepted", replicas=1, ready_replicas=0)
    answer(bed, "counted", "unchanged", replicas=3, ready_replicas=3)
    error = {"code": "forbidden", "message": "may not patch deployments/scale; grant it", "retryable": False}
    answer(bed, "failed", "failed", replicas=0, ready_replicas=0, error=error)
    bed.policies.drop(key("deleted"))
    await bed.flush()
    bed.policies.put(PolicyEntry(key("ready"), policy(key("ready"), hash="h2", min_replicas=2)))


async def fight(bed: Bed) -> None:
    """Somebody undoes three sleeps of ours, each at once."""
    for _ in range(3):
        await obey(bed, "contested")
        bed.result("observed", key("contested"), **grown("contested"), replicas=2, ready_replicas=2, manager="argocd")
        await bed.pass_time(COOLDOWN + MINUTE, STEP)


async def last_minutes(bed: Bed) -> None:
    """Some answers come, some do not; one prepare is under way when it ends."""
    await obey(bed, "asleep")
    await obey(bed, "counted")
    bed.result("notReady", key("busy"), **grown("busy"), replicas=3, ready_replicas=0)
    bed.request(key("ready"))
    bed.request(key("asleep"), headers=())
    host(bed, "guarded", allowed=True)
    await bed.pass_time(2 * MINUTE, STEP)
    answer(bed, "ready", "unchanged", replicas=3, ready_replicas=3)
    host(bed, "guarded", allowed=False)
    await bed.pass_time(2 * MINUTE, STEP)


def host(bed: Bed, name: str, *, allowed: bool) -> None:
    """A resolver's word."""
    said = str(allowed).lower()
    value = (
        f'{{"IncomingHost":"{name}.shop","Namespace":"shop","SourceService":"{name}","TargetService":"{name}-pods",'
        f'"SourceHost":"{name}.shop.svc","TargetHost":"{name}-pods.shop.svc","TrafficAllowed":{said}}}'
    )
    bed.raw(Topic.HOSTS, value.encode(), key=bytes(key(name)))


def grown(name: str) -> dict[str, object]:
    """A target after one more change."""
    known = {"api_version": "apps/v1", "kind": "Deployment", "name": name, "uid": "t1"}
    return {"target": {**known, "generation": next(_GENERATIONS)}}


def answer(bed: Bed, name: str, phase: str, **facts: object) -> None:
    """Answer the last command of a service."""
    command = [command for command in bed.commands() if command.service == name][-1]
    bed.result(phase, key(name), **grown(name), command_id=command.id, cause="command", **facts)


async def obey(bed: Bed, name: str) -> None:
    """Put it to sleep as asked."""
    answer(bed, name, "accepted", replicas=0, ready_replicas=0, manager="elasti")
    await bed.flush()


def one_of_each(topic: Topic, values: Sequence[bytes]) -> list[bytes]:
    """Leave out what differs in numbers and times alone."""
    return list({_kind(topic, json.loads(value)): value for value in reversed(values)}.values())[::-1]


def _kind(topic: Topic, value: dict[str, Any]) -> str:
    said: object = value
    match topic:
        case Topic.DECISIONS:
            said = (value["judgement"], value["reason"]["code"], value["inputs"]["policy"] is not None)
        case Topic.SCALE_COMMANDS:
            said = (value["direction"], value["reason"]["code"], value["expect"] is not None)
        case Topic.STATE:
            said = (sorted(value), value.get("ask", {}).get("answer"), value.get("wake", {}).get("code"))
        case Topic.SERVICE_STATUS:
            said = (value["desired"], value["replicas"], value["reason"]["code"])
        case _:
            pass
    return f"{value.get('service')} {said}"


def main(folder: Path) -> None:
    """Write the story's records into a folder."""
    bed = asyncio.run(play())
    for topic in WRITTEN:
        values = [record.value for record in bed.records(topic) if record.value is not None]
        (folder / f"{topic}.jsonl").write_bytes(b"".join(value + b"\n" for value in one_of_each(topic, values)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
