"""Kafka is away for an hour, Prometheus is dark for ten minutes: an installation lives through it in simulated time."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from consumer.checker import Expectations, Outage
from schemas.scale_result import Phase, ResultCause, ScaleResult
from tests.longtime.fleet import END, START, fleet, kind_of
from tests.longtime.sights import Dark
from tests.longtime.trace import HOUR, MINUTE, Plan
from tests.longtime.whole import Scaled, Whole

GONE, BACK = START + HOUR, START + 2 * HOUR
PATIENCE = timedelta(milliseconds=500)
"""So long a gateway waits for Kafka before it has the handler wake without."""
JOINED_BY = BACK + MINUTE
DARK = Dark(START + HOUR, START + HOUR + 10 * MINUTE)


async def without_kafka(town: Whole, unheard: int) -> None:
    await town.at(GONE)
    town.kafka.go(unheard=unheard)
    await town.at(BACK)
    await town.kafka.come_back()


def times(names: Iterable[Scaled | ScaleResult]) -> Counter[str]:
    """How often each service is named."""
    return Counter(each.name if isinstance(each, Scaled) else each.service for each in names)


def within(town: Whole, begin: datetime, end: datetime, *, up: bool) -> list[Scaled]:
    return [change for change in town.changes if change.up is up and begin <= change.at < end]


def asleep(town: Whole, moment: datetime) -> set[str]:
    """Who was at zero then."""
    last = {change.name: change.up for change in town.changes if change.at < moment}
    return {name for name, up in last.items() if not up}


def stays_up(plan: Plan) -> bool:
    """Whether its enabledPeriod is over at the end of the night."""
    return plan.nights is not None and plan.nights.hour == 0


def settled(town: Whole, *outages: Outage) -> Expectations:
    actual = {f"town/{plan.name}": town.replicas(plan.name) for plan in town.trace.plans}
    return Expectations(quiet=True, actual=actual, outages=outages, until=town.end)


@pytest.mark.parametrize(
    ("patience", "unheard"),
    [(None, 0), (timedelta(seconds=10), 3)],
    ids=["clients wait", "clients give up, and some of what they wrote had landed"],
)
def test_an_hour_without_kafka_loses_no_wake_and_puts_nothing_to_sleep(
    patience: timedelta | None, unheard: int
) -> None:
    town = Whole(fleet(1), END, patience=patience)
    town.run(without_kafka(town, unheard))
    # Whoever asks is answered at once, and finds the service up.
    asked = [each for each in town.answers if GONE <= each.at < BACK]
    assert {each.status for each in asked} == {200}
    assert max(each.took for each in asked) == PATIENCE
    assert [each.name for each in asked if not each.replicas] == []
    woken = within(town, GONE, BACK, up=True)
    assert {kind_of(town.prometheus.plans[each.name]) for each in woken} >= {"late", "visited", "counted"}
    assert len(woken) > 30
    assert within(town, GONE, BACK, up=False) == []
    # Afterwards the log tells each of these wakes once, and no decision twice.
    told = [each for each in town.results() if each.cause is ResultCause.DIRECT and each.phase is Phase.ACCEPTED]
    adopted = [each for each in town.decisions() if each.reason.code == "adopted"]
    assert times(told) == times(woken)
    assert Counter(each.service for each in adopted) == times(woken)
    assert max(Counter(each.id for each in town.decisions()).values()) == 1
    # Each was ready within minutes, though nobody could tell for longer than a start may take.
    assert [each.service for each in town.decisions() if each.reason.code == "never-ready"] == []
    # Two judges: one saw the requests and the cluster, the other reads the topics.
    assert town.oracle.violations == []
    assert town.verdict(settled(town, Outage(GONE, JOINED_BY))).violations == ()
    assert [plan.name for plan in town.trace.plans if bool(town.replicas(plan.name)) != stays_up(plan)] == []


@pytest.fixture(scope="module")
def seen() -> Whole:
    """The same night with a Prometheus that is there."""
    town = Whole(fleet(2), DARK.ends + HOUR / 2)
    town.run()
    return town


@pytest.mark.parametrize("mute", [False, True], ids=["refuses", "mute"])
def test_while_prometheus_is_dark_wakes_go_on_and_sleeps_by_metrics_come_a_cooldown_after_it(
    seen: Whole, mute: bool
) -> None:
    blind = Whole(seen.trace, seen.end)
    blind.prometheus.dark = Dark(DARK.begins, DARK.ends, mute)
    blind.run()
    assert blind.oracle.violations == []
    assert blind.verdict(Expectations(until=blind.end)).violations == ()

    def sleeps(town: Whole, begin: datetime, end: datetime, *, counted: bool) -> list[Scaled]:
        found = within(town, begin, end, up=False)
        return [each for each in found if town.prometheus.plans[each.name].counted is counted]

    # A sleep that is on its way when the lights go out is asked for by then.
    assert sleeps(blind, DARK.begins, DARK.ends, counted=False) == []
    assert len(sleeps(seen, DARK.begins, DARK.ends, counted=False)) >= 5
    # Who counts requests needs no Prometheus, nor does who is asked for.
    assert sleeps(blind, DARK.begins, DARK.ends, counted=True)
    assert len(within(blind, DARK.begins, DARK.ends, up=True)) >= 3
    # It was up for a whole cooldown first, by its own word.
    after = sleeps(blind, DARK.ends, blind.end, counted=False)
    assert len(after) >= 10
    assert all(each.at >= DARK.ends + blind.prometheus.plans[each.name].cooldown for each in after)


async def without_the_api(town: Whole) -> None:
    await town.at(GONE)
    town.cluster.is_there = False
    await town.at(BACK)
    town.cluster.is_there = True


def test_who_was_asked_for_in_an_hour_without_the_api_server_is_woken_in_seconds_when_it_is_back() -> None:
    town = Whole(fleet(3, services=60), BACK + 15 * MINUTE)
    town.run(without_the_api(town))
    owed = {each.name for each in town.answers if GONE <= each.at < BACK} & asleep(town, GONE)
    assert len(owed) > 10
    back = {change.name: change.at for change in reversed(within(town, BACK, town.end, up=True))}
    assert {name for name in owed if back[name] > BACK + 10 * timedelta(seconds=1)} == set()
    assert town.verdict(Expectations(outages=(Outage(GONE, BACK),), until=town.end)).violations == ()
