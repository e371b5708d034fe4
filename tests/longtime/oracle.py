"""Judges a run by what it was asked and what the cluster shows: who was there when, who slept, and what was promised.

It knows nothing of the core's rules, its states or its schedules. What it holds against a run:
never a zero before the end of anything that has to end first; never a request, or a busy metric, or the end of a
period, without the wake that it is owed; never a wake that nothing asked for; every idle service asleep within two
cycles, unless so many fell asleep just before that the sleep budget is used up; and never more than that budget.
"""

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tests.longtime.trace import FOLLOWS, MINUTE, Nights, Plan

BUDGET_SPAN = timedelta(minutes=10)
BUDGET_LEAST = 10
BUDGET_SHARE = 0.05
MOST_AGE = timedelta(minutes=10)
"""A request that waited longer than this for a worker has to wake nobody."""
ANSWER = timedelta(seconds=3)
"""A handler answers sooner than this, when it does."""
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=5)
WINDOW = timedelta(minutes=20)
"""The window that `counted` services count their requests over; a count may last a bucket longer."""
BUCKET = timedelta(seconds=21)
PATIENCE = 2
"""Cycles in which an idle service may be up."""
MOST_SAID = 50


@dataclass(frozen=True, slots=True)
class Violation:
    """What should not have happened, to whom, and when."""

    kind: str
    service: str
    at: datetime
    why: str

    def __str__(self) -> str:
        return f"{self.at.isoformat(timespec='milliseconds')} {self.service}: {self.kind}: {self.why}"


class Windows:
    """The windows in which a service may sleep, minute by minute by the wall clock of their zone."""

    def __init__(self, nights: Nights, start: datetime, end: datetime) -> None:
        self._length = nights.length
        self._starts = [at for at in _minutes(start - nights.length - MINUTE, end) if _is_start(nights, at)]

    def holds(self, now: datetime) -> bool:
        """Whether `now` is inside: a start is, a start and the whole length is not any more."""
        index = bisect_right(self._starts, now)
        return index > 0 and now < self._starts[index - 1] + self._length


def _minutes(first: datetime, last: datetime) -> Iterator[datetime]:
    at = first.replace(second=0, microsecond=0)
    while at <= last:
        yield at
        at += MINUTE


def _is_start(nights: Nights, at: datetime) -> bool:
    local = at.astimezone(ZoneInfo(nights.zone))
    if (local.hour, local.minute) != (nights.hour, nights.minute):
        return False
    if nights.weekdays is not None and local.isoweekday() % 7 not in nights.weekdays:
        return False
    return (nights.day in (None, local.day)) and nights.month in (None, local.month)


@dataclass(slots=True)
class Service:
    """What is known of one of them."""

    plan: Plan
    partition: int
    seen_at: datetime
    windows: Windows | None
    asleep: bool = False
    falling: bool = False
    """A zero was decided and the cluster has not answered it."""
    requested_at: datetime | None = None
    woken_at: datetime | None = None
    ready_at: datetime | None = None
    answered_at: datetime | None = None
    """When an up was last answered, also by "it is up already": that it was asked for is reason enough to wait."""
    owed_since: datetime | None = None
    refusals: int = 0
    retry_by: datetime | None = None
    asked: bool = False
    """An up is on its way."""
    wanted: bool = False
    """Something asked for it since it was last put to sleep."""
    idle_cycles: int = 0
    asleep_since: datetime | None = None
    slept: timedelta = timedelta()
    zeros: int = 0
    wakes: int = 0


@dataclass(slots=True)
class Summary:
    """The figures of a run."""

    requests: int = 0
    wakes: int = 0
    sleeps: int = 0
    budget_holds: int = 0
    asleep: float = 0.0
    """The share of all services' time spent at zero."""
    violations: Sequence[Violation] = field(default_factory=tuple)


class Oracle:
    """Hears everything in the order in which it happens, and says what was wrong with it."""

    def __init__(self, cycle: timedelta, start: datetime, end: datetime) -> None:
        self._cycle = cycle
        self._start, self._end = start, end
        self._services: dict[str, Service] = {}
        self._partitions: dict[int, list[Service]] = defaultdict(list)
        self._spent: dict[int, deque[datetime]] = defaultdict(deque)
        self._windows: dict[Nights, Windows] = {}
        self._owed: dict[str, Service] = {}
        self._works = True
        self._requests = self._budget_holds = self._violations = 0
        self.violations: list[Violation] = []
        self.zeros: list[tuple[str, datetime]] = []
        """Every zero that was decided, and when."""

    def knows(self, plan: Plan, partition: int, now: datetime, *, asleep: bool = False) -> None:
        """A service has a policy from now on."""
        nights, windows = plan.nights, None
        if nights is not None:
            windows = self._windows.setdefault(nights, Windows(nights, self._start, self._end))
        service = Service(plan, partition, now, windows, asleep, asleep_since=now if asleep else None)
        self._services[plan.name] = service
        self._partitions[partition].append(service)

    def requested(self, name: str, now: datetime) -> None:
        """Somebody asks for it."""
        self._requests += 1
        service = self._services[name]
        service.requested_at = now
        service.wanted = True
        if service.asleep or service.falling:
            self._owe(service, now)

    def _owe(self, service: Service, now: datetime) -> None:
        if service.owed_since is None:
            service.owed_since, service.refusals, service.retry_by = now, 0, None
            self._owed[service.plan.name] = service
            service.asked = False

    def commanded(self, name: str, *, up: bool, again: bool, now: datetime) -> None:
        """A worker asks the handler for it; `again`: because the last time came to nothing."""
        service = self._services[name]
        if up:
            service.asked = True
            if not service.wanted:
                self._say("needless wake", service, now, "nothing asked for it since it was put to sleep")
            return
        self.zeros.append((name, now))
        for why in self._too_early(service, now):
            self._say("early sleep", service, now, why)
        service.falling, service.wanted, service.idle_cycles = True, False, 0
        if not again:
            self._spend(service, now)

    def _too_early(self, service: Service, now: datetime) -> Iterator[str]:
        for since, length, what in self._reasons_to_stay(service):
            if since is not None and now < since + length:
                yield f"{what} at {since}, {since + length - now} too early"
        if not self._is_in_period(service, now):
            yield "outside of its enabled period"
        if self._is_busy(service, now):
            yield "its metric is busy"
        if service.owed_since is not None:
            yield f"a wake is owed since {service.owed_since}"

    def _reasons_to_stay(self, service: Service) -> Sequence[tuple[datetime | None, timedelta, str]]:
        cooldown = service.plan.cooldown
        return (
            (service.plan.created_at, cooldown, "created"),
            (service.seen_at, cooldown, "first seen"),
            (service.requested_at, cooldown, "requested"),
            (service.woken_at, cooldown, "woken"),
            (service.ready_at, cooldown, "ready"),
        )

    def _is_in_period(self, service: Service, now: datetime) -> bool:
        return service.windows is None or service.windows.holds(now)

    def _is_busy(self, service: Service, now: datetime) -> bool:
        if service.plan.batch(now):
            return True
        span = WINDOW if service.plan.counted else FOLLOWS
        return service.requested_at is not None and now <= service.requested_at + span

    def _spend(self, service: Service, now: datetime) -> None:
        spent = self._recent(service.partition, now)
        spent.append(now)
        limit = self._limit(service.partition, len(spent))
        # What is falling counts as awake here and not there, or the other way round: one more or less.
        if len(spent) > limit + 1:
            self._say("budget", service, now, f"{len(spent)} sleeps in ten minutes, {limit} are allowed")

    def _recent(self, partition: int, now: datetime) -> deque[datetime]:
        spent = self._spent[partition]
        while spent and now - spent[0] >= BUDGET_SPAN:
            spent.popleft()
        return spent

    def _limit(self, partition: int, spent: int) -> int:
        awake = sum(not service.asleep for service in self._partitions[partition])
        return max(BUDGET_LEAST, int(BUDGET_SHARE * (awake + spent)))

    def scaled(self, name: str, *, up: bool, now: datetime) -> None:
        """The cluster has it at zero, or above, from now on."""
        service = self._services[name]
        service.falling = False
        if up:
            service.asked, service.answered_at = False, now
            if service.asleep:
                service.asleep, service.woken_at = False, now
                service.slept += now - (service.asleep_since or now)
                service.wakes += 1
            self._pay(service)
            return
        service.asleep, service.asleep_since = True, now
        service.zeros += 1
        if service.wanted:
            # Somebody came while the zero was on its way.
            self._owe(service, now)

    def _pay(self, service: Service) -> None:
        service.owed_since = None
        self._owed.pop(service.plan.name, None)

    def stayed(self, name: str) -> None:
        """A zero was refused: it was overtaken."""
        service = self._services[name]
        service.falling = False
        if not service.asleep:
            self._pay(service)

    def became_ready(self, name: str, now: datetime) -> None:
        """Its first pod is ready."""
        self._services[name].ready_at = now

    def refused(self, name: str, now: datetime) -> None:
        """A handler failed to wake it, or said nothing: it is to be asked again, ever later."""
        service = self._services[name]
        service.asked = False
        service.retry_by = now + min(FIRST_RETRY * 2**service.refusals, LONGEST_RETRY) + ANSWER
        service.refusals += 1

    def stopped(self) -> None:
        """No worker is there from now on."""
        self._works = False

    def started(self, now: datetime) -> None:
        """A worker is there again; who asked too long ago has gone."""
        self._works = True
        for service in list(self._owed.values()):
            # Of several who asked meanwhile the last one counts.
            asked = (moment for moment in (service.owed_since, service.requested_at) if moment is not None)
            if now - max(asked) <= MOST_AGE:
                service.owed_since = now
            else:
                self._pay(service)
            service.retry_by = None
        for service in self._services.values():
            service.idle_cycles = 0

    def settled(self, now: datetime) -> None:
        """Everything that could happen at this moment has happened."""
        if not self._works:
            return
        for service in list(self._owed.values()):
            since, retry_by = service.owed_since or now, service.retry_by
            if retry_by is None and not service.asked and not service.falling:
                self._say("lost wake", service, now, f"owed since {since}, and nobody was asked")
            elif now > (retry_by or since + ANSWER):
                self._say("lost wake", service, now, f"owed since {since}, and it is not up")
            else:
                continue
            # Said once.
            self._pay(service)

    def cycled(self, partition: int, now: datetime) -> None:
        """A partition's services are about to be judged: whoever must be up by now is owed that."""
        for service in self._partitions[partition]:
            if service.asleep and now >= service.plan.created_at + service.plan.cooldown:
                called = service.plan.batch(now) or not self._is_in_period(service, now)
                if called:
                    service.wanted = True
                    self._owe(service, now)
            elif not service.asleep and (service.plan.batch(now) or not self._is_in_period(service, now)):
                service.wanted = True

    def judged(self, partition: int, now: datetime) -> None:
        """A partition's services were judged: whoever is idle should be falling asleep."""
        spent = len(self._recent(partition, now))
        exhausted = spent + 1 >= self._limit(partition, spent)
        self._budget_holds += exhausted
        for service in self._partitions[partition]:
            if service.asleep or service.falling or not self._may_sleep(service, now):
                service.idle_cycles = 0
                continue
            service.idle_cycles += 1
            if service.idle_cycles > PATIENCE and not exhausted:
                self._say("never sleeps", service, now, f"idle for {service.idle_cycles} cycles")
                service.idle_cycles = 0

    def _may_sleep(self, service: Service, now: datetime) -> bool:
        if service.owed_since is not None or any(
            since is not None and now < since + length for since, length, _ in self._reasons_to_stay(service)
        ):
            return False
        if service.plan.counted and service.requested_at and now <= service.requested_at + WINDOW + BUCKET:
            return False
        if service.answered_at is not None and now < service.answered_at + service.plan.cooldown:
            return False
        return self._is_in_period(service, now) and not self._is_busy(service, now)

    def summary(self, now: datetime) -> Summary:
        """Return the figures so far."""
        services = self._services.values()
        slept = sum(
            (s.slept + (now - s.asleep_since if s.asleep and s.asleep_since else timedelta()) for s in services),
            timedelta(),
        )
        known = sum((now - service.seen_at for service in services), timedelta())
        return Summary(
            requests=self._requests,
            wakes=sum(service.wakes for service in services),
            sleeps=sum(service.zeros for service in services),
            budget_holds=self._budget_holds,
            asleep=slept / known if known else 0.0,
            violations=tuple(self.violations),
        )

    def _say(self, kind: str, service: Service, now: datetime, why: str) -> None:
        self._violations += 1
        if len(self.violations) < MOST_SAID:
            self.violations.append(Violation(kind, service.plan.name, now, why))
