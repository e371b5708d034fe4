"""One sweep asks as little as it can, and one bad query costs only its owner."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.adapters.memory_prometheus import MemoryMeasurements
from consumer.core.answers import UnknownCause
from consumer.core.readings import Blame, Failure, Question, Reading, Series, Shape, Source
from consumer.scalers.batcher import Asked, Batcher
from tests.scalers.bed import BROKEN, NOTHING, SOURCE, T0, World, one, queries, scalar

OTHER = Source("http://other:9090")
LONG = 30.0


class NoLabels(MemoryMeasurements):
    """A server whose `label_replace` loses its label."""

    async def ask(self, question: Question, at: datetime, limit: timedelta) -> Reading | Failure:
        outcome = await MemoryMeasurements.ask(self, question, at, limit)
        if isinstance(outcome, Failure):
            return outcome
        return Reading(outcome.shape, tuple(Series((), series.value) for series in outcome.series))


async def swept(batcher: Batcher, questions: Sequence[Question], seconds: float = LONG) -> list[Reading | Failure]:
    async with batcher.round(T0, asyncio.get_running_loop().time() + seconds), asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(batcher.ask(question, T0)) for question in questions]
    return [answer.result() for answer in answers]


def about(*texts: str, source: Source = SOURCE) -> list[Question]:
    return [Question(source, text) for text in texts]


async def test_a_thousand_questions_are_eight_requests_and_equal_ones_are_asked_once() -> None:
    world = World({f"q{number}": one(str(number)) for number in range(1_000)})
    twin = world.twin()
    answers = await swept(Batcher(twin), about(*(f"q{number}" for number in range(1_000))) * 3)
    assert answers == [one(str(number)) for number in range(1_000)] * 3
    assert len(twin.asked) == 8


async def test_everything_is_asked_for_the_time_of_the_sweep() -> None:
    twin = World().twin()
    await swept(Batcher(twin), about("a", "b", '"text"'))
    assert {at for _, at in twin.asked} == {T0}


async def test_unlike_servers_and_headers_never_share_a_request() -> None:
    told = Source(SOURCE.server, (("Authorization", "a"),))
    twin = World().twin()
    await swept(Batcher(twin), [*about("a", "b"), *about("a", "b", source=OTHER), *about("a", "b", source=told)])
    assert sorted(question.source.server for question, _ in twin.asked) == [OTHER.server, SOURCE.server, SOURCE.server]
    assert {question.source for question, _ in twin.asked} == {SOURCE, OTHER, told}


async def test_one_bad_query_costs_only_its_owner() -> None:
    world = World({f"q{number}": one(str(number)) for number in range(125)} | {"q77": BROKEN})
    twin = world.twin()
    batcher = Batcher(twin)
    questions = about(*(f"q{number}" for number in range(125)))
    expected = [world.results[question.query] for question in questions]
    requests = []
    for _ in range(4):
        twin.asked.clear()
        assert await swept(batcher, questions) == expected
        requests.append(len(twin.asked))
    # 1 for all, then at most four parts at each step to the culprit: 125, 32, 8, 2, 1. From then on it travels
    # alone, and its last neighbour in small company for two sweeps more.
    assert requests == [15, 3, 3, 2]
    assert "q77" in queries(twin)


async def test_a_query_that_recovers_travels_with_the_others_again() -> None:
    world = World({"bad": BROKEN})
    twin = world.twin()
    batcher = Batcher(twin)
    questions = about("bad", *(f"q{number}" for number in range(9)))
    await swept(batcher, questions)
    world.results["bad"] = one("5")
    for _ in range(3):
        assert (await swept(batcher, questions))[0] == one("5")
    twin.asked.clear()
    await swept(batcher, questions)
    assert len(twin.asked) == 1


async def test_a_warning_that_data_is_missing_is_given_to_its_owner_only() -> None:
    partial = Reading(Shape.VECTOR, one("1").series, ("a store is down",))
    world = World({"a": one("1"), "b": partial, "c": one("3")})
    assert await swept(Batcher(world.twin()), about("a", "b", "c")) == [one("1"), partial, one("3")]


async def test_an_answer_that_can_not_be_taken_apart_is_asked_for_one_by_one() -> None:
    def deaf(query: str, _: object) -> Reading | Failure:
        return one("1") if query in {"a", "b"} else NOTHING

    twin = NoLabels(deaf)
    assert await swept(Batcher(twin), about("a", "b", "c")) == [one("1"), one("1"), NOTHING]
    assert queries(twin)[1:] == ["a", "b", "c"]


async def test_scalars_stay_scalars() -> None:
    world = World({"1": scalar("1"), "0 / 0": scalar("NaN"), "a": one("2")})
    twin = world.twin()
    assert await swept(Batcher(twin), about("1", "0 / 0", "a")) == [scalar("1"), scalar("NaN"), one("2")]
    assert len(twin.asked) == 1


@pytest.mark.parametrize("blame", [Blame.SERVER, Blame.EITHER])
async def test_a_server_that_answers_nothing_is_not_asked_again_and_again(blame: Blame) -> None:
    down = Failure(UnknownCause.UNREACHABLE, blame, "down")
    twin = MemoryMeasurements(lambda _query, _at: down)
    assert await swept(Batcher(twin), about("a", "b", "c", "d")) == [down] * 4
    assert len(twin.asked) == 1


async def test_a_query_that_is_too_slow_is_found_once_the_server_has_answered_another() -> None:
    slow = Failure(UnknownCause.TIMEOUT, Blame.EITHER, "slow")
    world = World({"slow": slow, "a": one("1"), "b": one("2")})
    batcher = Batcher(world.twin())
    # All of one chunk are blind at first, then in smaller company all but the slow one see again.
    assert await swept(batcher, about("a", "b", "slow")) == [slow, slow, slow]
    assert await swept(batcher, about("a", "b", "slow")) == [one("1"), one("2"), slow]


async def test_a_slow_query_among_many_chunks_is_found_in_the_same_sweep() -> None:
    slow = Failure(UnknownCause.TIMEOUT, Blame.EITHER, "slow")
    world = World({f"q{number}": one("1") for number in range(500)} | {"q499": slow})
    twin = world.twin()
    answers = await swept(Batcher(twin), about(*(f"q{number}" for number in range(500))))
    assert answers == [one("1")] * 499 + [slow]


async def never(_: Question) -> None:
    await asyncio.Event().wait()


async def test_a_server_that_hangs_ends_the_sweep_at_its_deadline_with_everything_unknown() -> None:
    twin = World().twin()
    twin.gate = never
    answers = await swept(Batcher(twin, concurrent=1), [*about("a"), *about("b", source=OTHER), *about('"c"')], 0.05)
    assert {answer.cause for answer in answers if isinstance(answer, Failure)} == {UnknownCause.TIMEOUT}
    assert len(answers) == 3


async def test_no_request_is_longer_than_its_own_limit() -> None:
    twin = World().twin()
    twin.gate = never
    answers = await swept(Batcher(twin, request_limit=timedelta(milliseconds=20)), about("a", "b"))
    assert answers == [Failure(UnknownCause.TIMEOUT, Blame.EITHER, f"{SOURCE.server} did not answer in time")] * 2


async def test_one_server_gets_a_bounded_number_of_requests_at_once() -> None:
    running: list[str] = []
    most = 0
    full = asyncio.Event()

    async def crowd(question: Question) -> None:
        nonlocal most
        running.append(question.query)
        most = max(most, len(running))
        if len(running) == 3:
            full.set()
        await full.wait()
        running.remove(question.query)

    twin = World().twin()
    twin.gate = crowd
    await swept(Batcher(twin, concurrent=3), about(*(f'"{number}"' for number in range(12))))
    assert most == 3
    assert len(twin.asked) == 12


async def test_outside_of_a_sweep_a_question_is_asked_at_once_and_alone() -> None:
    twin = World({"a": one("1")}).twin()
    batcher = Batcher(twin)
    batcher.expect(about("b")[0], T0)
    assert await batcher.ask(about("a")[0], T0) == one("1")
    assert queries(twin) == ["a"]


async def test_a_question_for_another_time_is_not_mixed_into_the_sweep() -> None:
    twin = World({"a": one("1")}).twin()
    batcher = Batcher(twin)
    later = T0 + timedelta(seconds=1)
    async with batcher.round(T0, asyncio.get_running_loop().time() + LONG):
        await batcher.ask(about("a")[0], later)
    assert twin.asked == [(about("a")[0], later)]


async def test_what_was_announced_travels_with_what_is_awaited_and_is_answered_without_another_request() -> None:
    twin = World({"a": one("1"), "b": one("2")}).twin()
    batcher = Batcher(twin)
    async with batcher.round(T0, asyncio.get_running_loop().time() + LONG):
        batcher.expect(about("b")[0], T0)
        assert await batcher.ask(about("a")[0], T0) == one("1")
        assert await batcher.ask(about("b")[0], T0) == one("2")
    assert len(twin.asked) == 1


async def test_who_gives_up_waiting_takes_nothing_from_the_others() -> None:
    opened = asyncio.Event()

    async def closed(_: Question) -> None:
        await opened.wait()

    twin = World({"a": one("1")}).twin()
    twin.gate = closed
    batcher = Batcher(twin)
    async with batcher.round(T0, asyncio.get_running_loop().time() + LONG), asyncio.TaskGroup() as tasks:
        impatient = tasks.create_task(batcher.ask(about("a")[0], T0))
        patient = tasks.create_task(batcher.ask(about("a")[0], T0))
        await asyncio.sleep(0)
        impatient.cancel()
        opened.set()
    assert impatient.cancelled()
    assert patient.result() == one("1")


async def test_every_request_is_counted_by_what_became_of_it() -> None:
    counted: list[Asked] = []
    causes = (UnknownCause.TIMEOUT, UnknownCause.UNREACHABLE, UnknownCause.HTTP_ERROR)
    world = World({f'"{cause}"': Failure(cause, Blame.SERVER, "x") for cause in causes})
    await swept(Batcher(world.twin(), count=counted.append), about("a", *(f'"{cause}"' for cause in causes)))
    assert sorted(counted) == [Asked.ANSWERED, Asked.FAILED, Asked.TIMEOUT, Asked.UNREACHABLE]


async def test_the_memory_of_failures_is_bounded() -> None:
    world = World({f"q{number}": BROKEN for number in range(9)})
    batcher = Batcher(world.twin(), remembered=2)
    for _ in range(2):
        assert await swept(batcher, about(*world.results)) == [BROKEN] * 9


async def test_closing_closes_the_connections() -> None:
    twin = World().twin()
    await Batcher(twin).close()
    assert twin.closed


OUTCOMES: dict[str, st.SearchStrategy[Reading | Failure]] = {
    "load_{}": st.sampled_from(
        [
            one("1"),
            one("NaN", pod="x"),
            NOTHING,
            BROKEN,
            Reading(Shape.VECTOR, (*one("1").series, *one("2", pod="x").series)),
        ]
    ),
    "partial_{}": st.just(Reading(Shape.VECTOR, one("1").series, ("a store is down",))),
    "slow_{}": st.just(Failure(UnknownCause.HTTP_ERROR, Blame.EITHER, "HTTP 504")),
    "{}": st.sampled_from([scalar("1"), scalar("NaN"), BROKEN]),
    '"{}"': st.just(Reading(Shape.OTHER, ())),
}


@given(st.data())
async def test_whatever_stands_in_a_chunk_each_answer_is_the_lone_one(data: st.DataObject) -> None:
    shapes = data.draw(st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=1, max_size=30))
    world = World({shape.format(n): data.draw(OUTCOMES[shape]) for n, shape in enumerate(shapes)})
    # One that always answers, so that a failure which may be the server's is followed up.
    world.results['"up"'] = Reading(Shape.OTHER, ())
    batcher = Batcher(world.twin(), concurrent=1)
    for _ in range(3):
        answers = await swept(batcher, about('"up"', *world.results))
        assert answers[1:] == list(world.results.values())
