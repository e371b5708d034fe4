"""Whatever is changed in a good run where it matters, some rule names it; Hypothesis chooses what and where."""

from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.checker import Expectations, Record, Recording, Rule, check
from schemas.message import rfc3339
from schemas.topics import Topic
from tests.checker.runs import COOLDOWN
from tests.checker.spoiling import also, edited, json_of, of, replaced, without

_OFTEN = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NUMBERS = st.integers(0, 10_000)


def rules(recording: Recording, expectations: Expectations | None = None) -> set[Rule]:
    return {violation.rule for violation in check(recording, expectations).violations}


def chosen(day: Recording, number: int, which: Callable[[Record], bool]) -> Record:
    """One of the records of which this is true."""
    found = [record for record in day.records if which(record)]
    return found[number % len(found)]


def is_first(day: Recording, record: Record) -> bool:
    """Whether it is the first of its partition: without it the log might just have forgotten what was before."""
    return record.offset == min(
        one.offset for one in day.records if (one.topic, one.partition) == (record.topic, record.partition)
    )


def about(topic: Topic, **wanted: object) -> Callable[[Record], bool]:
    def is_one(record: Record) -> bool:
        if record.topic != topic or not record.value or record.value[:1] != b"{":
            return False
        content = json_of(record)
        return all(content.get(name) == value for name, value in wanted.items())

    return is_one


@_OFTEN
@given(number=NUMBERS)
def test_a_command_that_is_left_out(day: Recording, number: int) -> None:
    command = chosen(day, number, about(Topic.SCALE_COMMANDS))
    spoiled = without(day, lambda one: one is command)
    assert Rule.ANSWERED in rules(spoiled) or is_first(day, command)


@_OFTEN
@given(number=NUMBERS)
def test_a_decision_that_is_left_out(day: Recording, number: int) -> None:
    decision = chosen(day, number, lambda one: one.topic == "decisions" and json_of(one)["commandId"] is not None)
    found = rules(without(day, lambda one: one is decision))
    assert found & {Rule.ANSWERED, Rule.INPUTS}


@_OFTEN
@given(number=NUMBERS, action=st.sampled_from(["hold", "up", "zero", "prepare"]))
def test_a_decision_that_is_there_again_with_another_action(day: Recording, number: int, action: str) -> None:
    decision = chosen(day, number, about(Topic.DECISIONS))
    found = rules(also(day, decision, action=action))
    assert Rule.UNIQUE in found
    assert (Rule.REPLAYS in found) is (json_of(decision)["action"] != action)


@_OFTEN
@given(number=NUMBERS, by=st.timedeltas(timedelta(milliseconds=1), COOLDOWN))
def test_a_zero_that_is_moved_before_the_end_of_its_cooldown(day: Recording, number: int, by: timedelta) -> None:
    zero = chosen(day, number, about(Topic.DECISIONS, action="zero"))
    names = ("firstSeenAt", "lastRequestAt", "lastWakeAt", "readyAt", "foreignUpAt")
    warm = max(json_of(zero)["before"].get(name) or "" for name in names)
    over = datetime.fromisoformat(warm) + COOLDOWN
    early = replaced(day, zero, edited(zero, "now", to=rfc3339(over - by)))
    sentences = [one.sentence for one in check(early).violations if one.rule is Rule.SLEEPS]
    assert any("within the cooldown" in sentence for sentence in sentences)


@_OFTEN
@given(number=NUMBERS)
def test_a_result_that_is_left_out(day: Recording, number: int) -> None:
    """An answer that nobody read, or a ready that nobody saw; one that only repeats what was known is not missed."""
    result = chosen(day, number, about(Topic.SCALE_RESULTS, phase="accepted"))
    found = rules(without(day, lambda one: one is result), Expectations(quiet=True))
    assert Rule.ANSWERED in found


@_OFTEN
@given(number=NUMBERS, count=st.integers(1, 9))
def test_a_request_that_counts_otherwise(day: Recording, number: int, count: int) -> None:
    request = chosen(day, number, about(Topic.REQUEST_COUNTS, svc="web"))
    content = json_of(request)
    if content["count"] == count:
        return
    assert Rule.INPUTS in rules(replaced(day, request, edited(request, "count", to=count)))


@_OFTEN
@given(number=NUMBERS, seq=st.integers(0, 2**40))
def test_a_number_that_is_another(day: Recording, number: int, seq: int) -> None:
    command = chosen(day, number, about(Topic.SCALE_COMMANDS))
    found = rules(replaced(day, command, edited(command, "seq", to=seq)))
    assert Rule.REPLAYS in found


@_OFTEN
@given(number=NUMBERS, flip=st.integers(0, 7), at=st.integers(0, 2_000))
def test_one_bit_of_a_decision_that_fell_over(day: Recording, number: int, flip: int, at: int) -> None:
    decision = chosen(day, number, about(Topic.DECISIONS))
    value = bytearray(decision.value or b"")
    value[at % len(value)] ^= 1 << flip
    found = rules(replaced(day, decision, decision._replace(value=bytes(value))))
    assert found


@_OFTEN
@given(data=st.data())
def test_no_bytes_at_all_make_it_fail(day: Recording, data: st.DataObject) -> None:
    """Whatever stands in a topic, there is a verdict."""
    record = chosen(day, data.draw(NUMBERS), lambda one: one.topic != "offsets")
    value = data.draw(st.one_of(st.none(), st.binary(max_size=50), st.just(b"{}"), st.just(b"[]")))
    key = data.draw(st.one_of(st.none(), st.binary(max_size=5), st.just(record.key)))
    headers = data.draw(st.sampled_from([(), record.headers, (("offset", b"x"),), (("elasti_origin_topic", b"y"),)]))
    check(replaced(day, record, record._replace(value=value, key=key, headers=headers)), Expectations(quiet=True))


@_OFTEN
@given(number=NUMBERS)
def test_an_up_that_lost_its_answers_is_a_wake_that_is_missed(day: Recording, number: int) -> None:
    command = chosen(day, number, about(Topic.SCALE_COMMANDS, direction="up"))
    service = (command.key or b"").decode()
    gone = without(day, lambda one: of("scale-results", service)(one) and one.time >= command.time)
    assert Rule.WAKES in rules(gone)
