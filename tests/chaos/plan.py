"""The plan of a run: drawn from the seed before anything starts, so that the same seed gives the same plan."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from enum import StrEnum

from tests.chaos.deeds import (
    Away,
    Break,
    Change,
    Deceive,
    Edit,
    Json,
    Kill,
    Lie,
    Load,
    Outage,
    Rename,
    Server,
    Step,
    Trouble,
    Visit,
    Zombie,
)
from tests.chaos.fleet import Spec, Trigger, draw

WORKERS, HANDLERS, GATEWAYS = ("w1", "w2", "w3"), ("h1", "h2"), ("g1", "g2")
SPARES = ("w4", "h3")
STEADY = (*WORKERS, *HANDLERS, *GATEWAYS)
SESSION = timedelta(seconds=3)
AHEAD = {
    name: timedelta(minutes=minutes)
    for name, minutes in (("w1", 2.5), ("w2", -2.5), ("h1", -2.5), ("h2", 2.5), ("g2", -5))
}
"""Clocks of machines that are wrong for the whole run: two workers are five minutes apart, and two handlers."""

# Per minute; five minutes give 55 kills, 22 zombies, 10 members that come and go.
_KILLS, _ZOMBIES, _VISITS = 11, 4.4, 2
_BREAKS, _LIES, _EDITS = 9, 2.2, 7
_RENAMES, _CUT_OFF = 0.6, 0.5
_BROKER, _API, _DARK = 1.0, 0.8, 0.4
_WAVE, _STORM = timedelta(seconds=25), timedelta(seconds=8)
"""Faults come in storms, several at once; in between the system has time to do its work, so that it can be judged."""
_START = timedelta(seconds=6)
"""What a process needs to be itself again."""
_LULL = (0.7, 0.82)
"""In this part of a run nobody asks for anything: the whole fleet, which is busy before, falls idle at once."""
_BUSY = timedelta(seconds=25)
_LOAD = 40
_AROUND = timedelta(seconds=60)
"""What a run without Kafka has before and after: time to fall asleep, and to catch up."""
_SELDOM = 6
"""Without Kafka nothing falls asleep: services are asked for seldom, so that there are some to wake to the end."""


class Way(StrEnum):
    """How a request comes in."""

    GATEWAY = "gateway"
    KAFKA = "kafka"
    """A record in the partition of its service."""
    ASTRAY = "astray"
    """A record in any partition."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: when (from the beginning of the faults), for which service, and how it comes in."""

    at: timedelta
    service: str
    way: Way
    door: int
    """Which gateway, or which wrong partition."""
    trace: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will be done."""

    seed: int
    length: timedelta
    fleet: tuple[Spec, ...]
    steps: tuple[Step, ...]
    calls: tuple[Call, ...]
    lull: tuple[timedelta, timedelta] | None = None
    """From when to when nobody asks for anything."""
    without_kafka: bool = False
    """Whether nothing is broken but Kafka, which is away for most of the run, and direct wakes carry the traffic."""

    def count(self, kind: type) -> int:
        """How many deeds of a kind there are."""
        return sum(isinstance(step.deed, kind) for step in self.steps)

    def told(self) -> Json:
        """The plan as JSON."""
        return {
            "seed": self.seed,
            "seconds": self.length.total_seconds(),
            "ahead": {name: ahead.total_seconds() for name, ahead in AHEAD.items()},
            "lull": [each.total_seconds() for each in self.lull or ()],
            "fleet": [{**asdict(spec), "cooldown": spec.cooldown.total_seconds()} for spec in self.fleet],
            "steps": [step.told() for step in self.steps],
            "calls": [{**asdict(call), "at": call.at.total_seconds()} for call in self.calls],
        }


def plan(seed: int, length: timedelta, services: int) -> Plan:
    """Draw the plan of a seed."""
    chance = random.Random(seed)
    fleet = draw(chance, services)
    lull = (length * _LULL[0], length * _LULL[1])
    renames = list(_renames(chance, length, fleet))
    renamed = {step.deed.service for step in renames if isinstance(step.deed, Rename)}
    steady = [spec for spec in fleet if spec.by_metric and spec.name not in renamed]
    steps = [
        *_deaths(chance, length),
        *_visits(chance, length),
        *_breaks(chance, length),
        *_outages(chance, length),
        *_lies(chance, length),
        *_edits(chance, length, fleet),
        *renames,
        *_loads(chance, length, steady, lull),
    ]
    calls = [call for spec in fleet for call in _calls(chance, length, spec) if not lull[0] <= call.at < lull[1]]
    return Plan(seed, length, fleet, _in_order(steps), _by_time(calls), lull)


def without_kafka(seed: int, away: timedelta, services: int) -> Plan:
    """Draw a plan in which both brokers are dead for that long, and requests come to the gateways alone."""
    chance = random.Random(seed)
    fleet = draw(chance, services)
    length = away + 2 * _AROUND
    steps = [Step(_AROUND, Away(Server.KAFKA, Outage.KILL, away, lesser=lesser)) for lesser in (False, True)]
    calls = [replace(call, way=Way.GATEWAY) for spec in fleet for call in _calls(chance, length, spec, seldom=_SELDOM)]
    return Plan(seed, length, fleet, _in_order(steps), _by_time(calls), without_kafka=True)


def _in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: step.at))


def _by_time(calls: Iterable[Call]) -> tuple[Call, ...]:
    return tuple(sorted(calls, key=lambda call: call.at))


def often(per_minute: float, length: timedelta) -> int:
    """How many of something belong into a run of this length; one at least."""
    return max(1, round(per_minute * (length / timedelta(minutes=1))))


def _seconds(chance: random.Random, least: float, most: float) -> timedelta:
    return timedelta(milliseconds=round(chance.uniform(least, most) * 1000))


def _moments(chance: random.Random, length: timedelta, count: int) -> Sequence[timedelta]:
    return sorted(_seconds(chance, 0, length.total_seconds()) for _ in range(count))


def _in_storms(chance: random.Random, length: timedelta, count: int) -> Sequence[timedelta]:
    """Moments of which each wave has its share, all of them in the first seconds of it."""
    return [at // _WAVE * _WAVE + at % _WAVE * (_STORM / _WAVE) for at in _moments(chance, length, count)]


def _deaths(chance: random.Random, length: timedelta) -> Iterator[Step]:
    """Kills and zombies: never two of one process at a time, each when it had time to become itself again."""
    kinds = [True] * often(_KILLS, length) + [False] * often(_ZOMBIES, length)
    chance.shuffle(kinds)
    free = dict.fromkeys(STEADY, timedelta())
    for at, is_kill in zip(_in_storms(chance, length, len(kinds)), kinds, strict=True):
        # Gateways hold nothing that a rebalance could lose: they die less often.
        mortal = (*WORKERS * 2, *HANDLERS * 2, *(GATEWAYS if is_kill else ()))
        able = [slot for slot in mortal if free[slot] <= at]
        slot = chance.choice(able or [min(mortal, key=lambda each: free[each])])
        when = max(at, free[slot])
        busy = _seconds(chance, 0, 2.5) if is_kill else SESSION + _seconds(chance, 1, 4)
        free[slot] = when + busy + _START
        yield Step(when, Kill(slot, busy) if is_kill else Zombie(slot, busy))
        if not is_kill and chance.random() < _CUT_OFF:
            # It stands still in the midst of leaving a Kafka that it can not reach.
            ago = _seconds(chance, 0, 4)
            yield Step(max(when - ago, timedelta()), Break(slot, Server.KAFKA, Trouble.CUT, _seconds(chance, 3, 7)))


def _visits(chance: random.Random, length: timedelta) -> Iterator[Step]:
    """Members that come and go, one at a time of each kind."""
    count = often(_VISITS, length)
    for number in range(count):
        slot = SPARES[number % len(SPARES)]
        begins = length * (number // len(SPARES)) / -(-count // len(SPARES))
        room = (length / -(-count // len(SPARES))).total_seconds()
        at = begins + _seconds(chance, 0, room * 0.3)
        yield Step(at, Visit(slot, _seconds(chance, room * 0.3, room * 0.6)))


def _breaks(chance: random.Random, length: timedelta) -> Iterator[Step]:
    """Trouble on the way of one process to one server."""
    for at in _in_storms(chance, length, often(_BREAKS, length)):
        slot = chance.choice(STEADY)
        # A gateway knows the API server only by /crd-cache, and no Prometheus.
        server = chance.choice((Server.KAFKA, Server.KAFKA, Server.API, Server.PROMETHEUS))
        if slot not in WORKERS and server is Server.PROMETHEUS:
            server = Server.KAFKA
        trouble = chance.choice(tuple(Trouble))
        yield Step(at, Break(slot, server, trouble, _seconds(chance, 1, 8)))


def _outages(chance: random.Random, length: timedelta) -> Iterator[Step]:
    """Servers that are away for everybody, each after the other of its kind."""
    rates = ((Server.KAFKA, _BROKER), (Server.API, _API), (Server.PROMETHEUS, _DARK))
    for server, rate in rates:
        count = often(rate, length)
        room = length / count
        for number in range(count):
            how = (Outage.PAUSE, Outage.KILL)[number % 2]
            long = (8, 25) if server is Server.PROMETHEUS else (1, 6)
            at = room * number + _seconds(chance, 0, room.total_seconds() * 0.4)
            lesser = server is Server.KAFKA and number % 4 in (1, 2)
            away = min(_seconds(chance, *long), room * 0.4)
            yield Step(at, Away(server, how, away, lesser=lesser))


def _lies(chance: random.Random, length: timedelta) -> Iterator[Step]:
    """What Prometheus says that is not so, one after the other."""
    count = often(_LIES, length)
    kinds = [tuple(Lie)[number % len(Lie)] for number in range(count)]
    chance.shuffle(kinds)
    room = length / count
    for number, lie in enumerate(kinds):
        at = room * number + _seconds(chance, 0, room.total_seconds() * 0.4)
        yield Step(at, Deceive(lie, min(_seconds(chance, 2, 12), room * 0.5)))


def _edits(chance: random.Random, length: timedelta, fleet: Sequence[Spec]) -> Iterator[Step]:
    """An operator's day: each service is touched once at most, so that what is meant by it stays clear."""
    names = [spec.name for spec in fleet if spec.held.may_sleep and spec.held.may_wake]
    chance.shuffle(names)
    count = min(often(_EDITS, length), len(names) // 4)
    for number, at in enumerate(_moments(chance, length * 0.9, count)):
        change = tuple(Change)[number % len(Change)]
        among, names = tuple(names[:4]), names[4:]
        value = chance.randint(5, 15) if change is Change.COOLDOWN else chance.randint(2, 3)
        yield Step(at, Edit(change, among, value, _seconds(chance, 10, 30)))


def _renames(chance: random.Random, length: timedelta, fleet: Sequence[Spec]) -> Iterator[Step]:
    """Metrics that vanish behind `or vector(0)` while they are high; each has a part of the run of its own."""
    able = [spec.name for spec in fleet if spec.trigger is Trigger.HIDDEN and spec.held.may_sleep]
    count = min(often(_RENAMES, length), len(able))
    for number, name in enumerate(chance.sample(able, count)):
        room = length / count
        begins = room * number + _seconds(chance, 0, room.total_seconds() * 0.1)
        yield Step(begins, Load(name, _LOAD))
        yield Step(begins + room * 0.3, Rename(name, room * 0.5))
        yield Step(begins + room * 0.85, Load(name, 0))


def _loads(
    chance: random.Random, length: timedelta, fleet: Sequence[Spec], lull: tuple[timedelta, timedelta]
) -> Iterator[Step]:
    """Metrics that rise and fall, and before the lull all of them at once."""
    busy = max(lull[0] - _BUSY, lull[0] / 2)
    for spec in fleet:
        at = _seconds(chance, 0, 120)
        while at < length:
            until = min(at + _seconds(chance, 3, 25), length)
            if until < busy or at > lull[1]:
                yield Step(at, Load(spec.name, chance.choice((1, 5, _LOAD))))
                yield Step(until, Load(spec.name, 0))
            at = until + _seconds(chance, 40, 200)
        yield Step(busy, Load(spec.name, _LOAD))
        yield Step(lull[0], Load(spec.name, 0))


def _calls(chance: random.Random, length: timedelta, spec: Spec, seldom: int = 1) -> Iterator[Call]:
    """Bursts and silences; a tenth of the services is busy most of the time."""
    silence = (4, 15) if chance.random() < 0.1 else (20 * seldom, 120 * seldom)
    at = _seconds(chance, 0, silence[1])
    while at < length:
        way = chance.choices(tuple(Way), weights=(60, 30, 10))[0]
        for offset in sorted(_seconds(chance, 0, 3) for _ in range(chance.choice((1, 1, 2, 4, 12)))):
            if at + offset < length:
                trace = f"00-{chance.getrandbits(128) or 1:032x}-{chance.getrandbits(64) or 1:016x}-01"
                yield Call(at + offset, spec.name, way, chance.randrange(1 << 16), trace)
        at += _seconds(chance, *silence)
