"""The plan of a run: drawn from the seed before anything starts, so that the same seed gives the same plan."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
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
    Server,
    Step,
    Trouble,
    Visit,
    Zombie,
)
from tests.chaos.fleet import Spec, draw

WORKERS, HANDLERS, GATEWAYS = ("w1", "w2", "w3"), ("h1", "h2"), ("g1", "g2")
SPARES = ("w4", "h3")
STEADY = (*WORKERS, *HANDLERS, *GATEWAYS)
SESSION = timedelta(seconds=3)

# Per minute; five minutes give 55 kills, 22 zombies, 10 members that come and go.
_KILLS, _ZOMBIES, _VISITS = 11, 4.4, 2
_BREAKS, _LIES, _EDITS = 9, 2.2, 7
_BROKER, _API, _DARK = 1.0, 0.8, 0.4
_WAVE, _STORM = timedelta(seconds=25), timedelta(seconds=8)
"""Faults come in storms, several at once; in between the system has time to do its work, so that it can be judged."""
_START = timedelta(seconds=6)
"""What a process needs to be itself again."""


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

    def count(self, kind: type) -> int:
        """How many deeds of a kind there are."""
        return sum(isinstance(step.deed, kind) for step in self.steps)

    def told(self) -> Json:
        """The plan as JSON."""
        return {
            "seed": self.seed,
            "seconds": self.length.total_seconds(),
            "fleet": [{**asdict(spec), "cooldown": spec.cooldown.total_seconds()} for spec in self.fleet],
            "steps": [step.told() for step in self.steps],
            "calls": [{**asdict(call), "at": call.at.total_seconds()} for call in self.calls],
        }


def plan(seed: int, length: timedelta, services: int) -> Plan:
    """Draw the plan of a seed."""
    chance = random.Random(seed)
    fleet = draw(chance, services)
    steps = [
        *_deaths(chance, length),
        *_visits(chance, length),
        *_breaks(chance, length),
        *_outages(chance, length),
        *_lies(chance, length),
        *_edits(chance, length, fleet),
        *_loads(chance, length, fleet),
    ]
    calls = [call for spec in fleet for call in _calls(chance, length, spec)]
    return Plan(
        seed=seed,
        length=length,
        fleet=fleet,
        steps=tuple(sorted(steps, key=lambda step: step.at)),
        calls=tuple(sorted(calls, key=lambda call: call.at)),
    )


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


def _loads(chance: random.Random, length: timedelta, fleet: Sequence[Spec]) -> Iterator[Step]:
    """Metrics that rise and fall."""
    for spec in fleet:
        if not spec.by_metric:
            continue
        at = _seconds(chance, 0, 120)
        while at < length:
            yield Step(at, Load(spec.name, chance.choice((1, 5, 40))))
            at += _seconds(chance, 3, 25)
            yield Step(min(at, length), Load(spec.name, 0))
            at += _seconds(chance, 40, 200)


def _calls(chance: random.Random, length: timedelta, spec: Spec) -> Iterator[Call]:
    """Bursts and silences; a tenth of the services is busy most of the time."""
    silence = (4, 15) if chance.random() < 0.1 else (20, 120)
    at = _seconds(chance, 0, silence[1])
    while at < length:
        way = chance.choices(tuple(Way), weights=(60, 30, 10))[0]
        for offset in sorted(_seconds(chance, 0, 3) for _ in range(chance.choice((1, 1, 2, 4, 12)))):
            if at + offset < length:
                trace = f"00-{chance.getrandbits(128) or 1:032x}-{chance.getrandbits(64) or 1:016x}-01"
                yield Call(at + offset, spec.name, way, chance.randrange(1 << 16), trace)
        at += _seconds(chance, *silence)
