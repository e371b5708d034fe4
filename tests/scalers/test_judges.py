"""A sweep answers for every service, whatever one of them or its scaler does."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib.metadata import EntryPoint

import pytest

from consumer.adapters.memory_prometheus import MemoryMeasurements
from consumer.core.answers import Answers, TriggerAnswers, Unknown, UnknownCause, Yes
from consumer.core.policy import Policy, Trigger
from consumer.core.service import ServiceKey
from consumer.core.window import Window
from consumer.ports import Judges, Subject
from consumer.scalers import Defaults
from consumer.scalers.batcher import Batcher
from consumer.scalers.judges import SweepJudges
from consumer.scalers.registry import GROUP, Registry
from tests.scalers.bed import BROKEN, SERVER, T0, World, asking, one, policy, trigger
from tests.scalers.plugins import STEADY, RudeType, Steady

HERE = "tests.scalers.plugins"
RUDE = RudeType()


@pytest.fixture
def made() -> list[Steady]:
    STEADY.made.clear()
    return STEADY.made


def judges(twin: MemoryMeasurements, seconds: float = 20) -> SweepJudges:
    found = [
        EntryPoint("steady", f"{HERE}:STEADY", GROUP),
        EntryPoint("rude", f"{HERE}:RudeType", GROUP),
        EntryPoint("broken", f"{HERE}:BrokenType", GROUP),
        EntryPoint("impatient", f"{HERE}:ImpatientType", GROUP),
    ]
    registry = Registry(Defaults(SERVER), installed=lambda: found)
    return SweepJudges(registry, Batcher(twin), limit=timedelta(seconds=seconds))


async def swept(of: Judges, *policies: Policy, now: datetime = T0) -> Sequence[Answers]:
    answers = await of.sweep([Subject(each, None) for each in policies], now)
    assert set(answers) == {each.key for each in policies}
    return [answers[each.key] for each in policies]


def causes(of: TriggerAnswers) -> list[UnknownCause | None]:
    return [answer.cause if isinstance(answer, Unknown) else None for answer in of.each()]


async def test_every_trigger_of_every_policy_is_answered_in_its_order() -> None:
    world = World({"a": one("0"), "b": one("9")})
    twin = world.twin()
    both, single = await swept(judges(twin), policy("web", asking("a"), asking("b")), policy("api", asking("b")))
    assert [each.name for each in both.triggers] == ["prometheus#0", "prometheus#1"]
    assert [each.name for each in single.triggers] == ["prometheus#0"]
    assert isinstance(both.triggers[0].to_zero, Yes)
    assert both.triggers[1].from_zero == single.triggers[0].from_zero
    assert isinstance(single.triggers[0].from_zero, Yes)
    # a, b and the health query, once each, joined.
    assert len(twin.asked) == 1


async def test_the_sweep_tells_how_long_it_took() -> None:
    (answers,) = await swept(judges(World().twin()), policy("web", asking("a")))
    assert timedelta() <= answers.took < timedelta(seconds=20)
    assert answers.took.microseconds % 1000 == 0


async def test_a_hundred_services_with_one_bad_query_lose_nothing_but_its_own_answer() -> None:
    world = World({f"q{number}": one("0") for number in range(100)} | {"q50": BROKEN})
    found = await swept(judges(world.twin()), *(policy(f"s{number}", asking(f"q{number}")) for number in range(100)))
    blind = [index for index, answers in enumerate(found) if isinstance(answers.triggers[0].to_zero, Unknown)]
    assert blind == [50]


async def test_nobody_to_judge_asks_nothing() -> None:
    twin = World().twin()
    assert await judges(twin).sweep([], T0) == {}
    assert twin.asked == []


async def test_a_scaler_that_raises_hangs_or_lies_is_unknown_for_its_own_service_only() -> None:
    world = World({"a": one("0")})
    of = judges(world.twin(), seconds=0.05)
    rude, good = await swept(of, policy("rude", trigger("rude", good="1")), policy("good", asking("a")))
    assert causes(rude.triggers[0]) == [UnknownCause.SCALER_ERROR, UnknownCause.TIMEOUT, UnknownCause.SCALER_ERROR]
    healthy, _, from_zero = rude.triggers[0].each()
    assert isinstance(healthy, Unknown)
    assert healthy.detail == "RuntimeError: no health at 12:00"
    assert isinstance(from_zero, Unknown)
    assert from_zero.detail == "the scaler returned bool, not an answer"
    assert isinstance(good.triggers[0].to_zero, Yes)
    # It can not even be closed, and that stops nothing.
    await of.close()


async def test_a_scaler_that_gives_up_by_itself_is_a_timeout_with_its_own_words() -> None:
    (answers,) = await swept(judges(World().twin()), policy("web", trigger("impatient", good="1")))
    late = answers.triggers[0].to_zero
    assert late == Unknown(UnknownCause.TIMEOUT, T0, "the scaler gave up waiting: no answer at 12:00")


@pytest.mark.parametrize("bad", [trigger("broken"), trigger("no-such-type"), trigger("prometheus", query="sum(")])
async def test_a_trigger_without_a_scaler_is_unknown_beside_others_that_have_one(
    bad: Trigger, made: list[Steady]
) -> None:
    of = judges(World().twin())
    found = await swept(of, policy("web", trigger("steady", good="1"), bad))
    good, unknown = found[0].triggers
    assert causes(good) == [None, None, UnknownCause.NOT_ASKED]
    assert causes(unknown) == [UnknownCause.SCALER_ERROR] * 3
    await of.close()
    assert [each.closed for each in made] == [1]


async def test_scalers_are_made_once_and_again_when_the_policy_changes(made: list[Steady]) -> None:
    of = judges(World().twin())
    first = policy("web", trigger("steady", good="1"))
    await swept(of, first)
    await swept(of, first)
    assert [each.closed for each in made] == [0]
    await swept(of, policy("web", trigger("steady", good="1"), hash_="changed"))
    assert [each.closed for each in made] == [1, 0]


async def test_a_new_token_makes_new_scalers_although_the_hash_leaves_it_out(made: list[Steady]) -> None:
    of = judges(World().twin())
    for token in ("old", "new"):
        await swept(of, policy("web", trigger("steady", (("Authorization", token),), good="1")))
    assert [each.assignment.trigger.headers[0][1] for each in made] == ["old", "new"]


async def test_scalers_of_a_policy_that_is_gone_are_closed(made: list[Steady]) -> None:
    of = judges(World().twin())
    await swept(of, policy("web", trigger("steady", good="1")))
    await of.forget(ServiceKey("shop", "web"))
    await of.forget(ServiceKey("shop", "never-seen"))
    assert [each.closed for each in made] == [1]


async def test_scalers_that_nobody_asked_for_a_quarter_of_an_hour_are_closed(made: list[Steady]) -> None:
    of = judges(World().twin())
    old, new = policy("old", trigger("steady", good="1")), policy("new", trigger("steady", good="1"))
    await swept(of, old)
    await swept(of, new, now=T0 + timedelta(minutes=15))
    assert [each.closed for each in made] == [0, 0]
    await swept(of, new, now=T0 + timedelta(minutes=15, milliseconds=1))
    assert [each.closed for each in made] == [1, 0]


async def test_closing_closes_scalers_and_connections(made: list[Steady]) -> None:
    twin = World().twin()
    of = judges(twin)
    await swept(of, policy("web", trigger("steady", good="1")))
    await of.close()
    assert [each.closed for each in made] == [1]
    assert twin.closed


async def test_each_sweep_judges_by_the_requests_that_it_was_given(made: list[Steady]) -> None:
    of = judges(World().twin())
    windows = [None, Window(timedelta(minutes=1)), Window(timedelta(minutes=1), since=T0)]
    for window in windows:
        await of.sweep([Subject(policy("web", trigger("steady", good="1")), window)], T0)
    assert made[0].seen == windows


@pytest.mark.parametrize(
    ("windows", "longest"), [((), None), (("1m", "10m", "5m"), timedelta(minutes=10)), (("soon",), None)]
)
def test_the_longest_window_of_a_policy_is_the_one_to_count(
    windows: tuple[str, ...], longest: timedelta | None
) -> None:
    triggers = [trigger("request-count", threshold="1", window=window) for window in windows]
    assert judges(World().twin()).window_of(policy("web", asking("a"), *triggers)) == longest
