"""Rule 7: what was skipped, doubled, buried or left where it does not belong."""

import pytest

from consumer.checker import Expectations, Record, Recording, Rule, Verdict, check
from consumer.core.service import ServiceKey
from schemas.origin import ORIGIN_OFFSET
from tests.checker.runs import SECOND, host
from tests.checker.spoiling import edited, found, of, replaced, without

QUIET = Expectations(quiet=True)


def said(verdict: Verdict) -> str:
    return "\n".join(one.sentence for one in verdict.violations if one.rule is Rule.INPUTS)


def is_forward(record: Record) -> bool:
    return any(name == ORIGIN_OFFSET for name, _ in record.headers)


def requests(day: Recording, service: str = "shop/web") -> list[Record]:
    return found(day, lambda one: one.topic == "request-counts" and one.key == service.encode() and not is_forward(one))


def test_a_request_that_was_counted_and_never_came_is_found(day: Recording) -> None:
    middle = requests(day)[2]
    assert "5 requests were counted twice" in said(check(without(day, lambda one: one is middle)))


def test_a_request_that_was_skipped_is_found(day: Recording) -> None:
    """The one before counts more than it was counted for: as if another record had been passed over."""
    one = requests(day)[2]
    more = one._replace(value=b'{"count": 9, "svc": "web", "namespace": "shop"}')
    assert "4 requests were lost" in said(check(replaced(day, one, more)))


def test_requests_that_are_not_kept_any_more_are_not_missed(day: Recording) -> None:
    first = {(one.partition, one.offset) for one in requests(day)[:2]}
    gone = max(offset for _, offset in first)
    partition = next(iter(first))[0]
    cut = without(day, lambda one: one.topic == "request-counts" and one.partition == partition and one.offset <= gone)
    assert said(check(cut)) == ""


def test_what_can_not_be_read_and_is_not_in_the_dead_letters_is_found(day: Recording) -> None:
    cut = without(day, lambda one: one.topic == "dead-letter")
    assert "can not be read, and is not in the dead letters" in said(check(cut))
    unknown = without(cut, lambda one: one.topic == "offsets")
    # Nobody says that it was read: it may be on its way.
    assert said(check(unknown)) == ""
    assert "is not in the dead letters" in said(check(unknown, QUIET))


def test_a_dead_letter_that_is_there_twice_is_found(day: Recording) -> None:
    letter = found(day, lambda one: one.topic == "dead-letter")[0]
    again = Recording((*day.records, letter._replace(offset=letter.offset + 5)), day.partitions)
    assert "is in the dead letters twice" in said(check(again))


def test_a_dead_letter_about_what_can_be_used_is_found(day: Recording) -> None:
    letter = found(day, lambda one: one.topic == "dead-letter")[0]
    request = next(one for one in requests(day) if one.partition == letter_partition(letter))
    headers = tuple((name, b"%d" % request.offset if name == "offset" else value) for name, value in letter.headers)
    spoiled = replaced(day, letter, letter._replace(headers=headers))
    assert "can be used, and is in the dead letters all the same" in said(check(spoiled))


def letter_partition(letter: Record) -> int:
    return int(next(value for name, value in letter.headers if name == "partition"))


def test_a_stray_that_was_not_forwarded_is_found(day: Recording) -> None:
    cut = without(day, lambda one: one.topic == "request-counts" and is_forward(one))
    assert "was not forwarded" in said(check(cut))


def test_a_stray_that_was_forwarded_twice_changes_nothing(day: Recording) -> None:
    forward = found(day, is_forward)[0]
    last = max(one.offset for one in day.records if (one.topic, one.partition) == (forward.topic, forward.partition))
    again = Recording((*day.records, forward._replace(offset=last + 1)), day.partitions)
    assert said(check(again)) == ""


def test_one_that_was_forwarded_into_a_wrong_partition_again_is_found(day: Recording) -> None:
    forward = found(day, is_forward)[0]
    lost = forward._replace(partition=1 - forward.partition, offset=77)
    headers = tuple((n, b"%d" % forward.partition if n == "elasti_origin_partition" else v) for n, v in lost.headers)
    more = Recording((*day.records, lost._replace(headers=headers)), day.partitions)
    assert "was forwarded into a wrong partition" in said(check(more, QUIET))


def test_an_input_that_the_last_state_has_not_read_is_found_when_all_is_at_rest(day: Recording) -> None:
    last = requests(day)[-1]
    late = last._replace(offset=last.offset + 50, time=last.time + SECOND)
    more = Recording((*day.records, late), day.partitions)
    assert "was never applied" in said(check(more, QUIET))
    assert said(check(more)) == ""


def test_a_word_on_a_host_that_is_known_otherwise_is_found(day: Recording) -> None:
    word = found(day, lambda one: one.topic == "hosts")[0]
    other = word._replace(value=host(ServiceKey.parse((word.key or b"").decode()), allowed=False))
    assert "knows otherwise" in said(check(replaced(day, word, other), QUIET))


@pytest.mark.parametrize("kind", ["request-counts", "scale-results", "scale-commands"])
def test_a_group_that_has_not_read_to_the_end_is_found(day: Recording, kind: str) -> None:
    offset = found(day, lambda one: one.topic == "offsets" and one.key == kind.encode())[0]
    behind = replaced(day, offset, offset._replace(value=b"0"))
    assert "its group has committed 0" in said(check(behind, QUIET))


def test_the_answer_of_another_cluster_is_poison(day: Recording) -> None:
    result = found(day, of("scale-results"))[-1]
    foreign = replaced(day, result, edited(result, "cluster", to="other"))
    assert "can not be read, and is not in the dead letters" in said(check(foreign, QUIET))


def of_a_tenant(day: Recording) -> Recording:
    """The same day, had the requests of the namespace a topic of their own."""
    old, new = b'elasti.request-counts"', b'elasti.request-counts.shop"'

    def renamed(record: Record) -> Record:
        topic = "request-counts.shop" if record.topic == "request-counts" else record.topic
        value = record.value and record.value.replace(old, new)
        headers = tuple((n, v.replace(old[:-1], new[:-1]) if v == old[:-1] else v) for n, v in record.headers)
        key = record.key if record.topic != "offsets" or record.key != b"request-counts" else b"request-counts.shop"
        return record._replace(topic=topic, value=value, headers=headers, key=key)

    return Recording(tuple(renamed(record) for record in day.records), day.partitions)


def test_requests_may_come_by_a_topic_of_their_namespace(day: Recording) -> None:
    """Ids are derived from where a request came from, so the decisions of this one do not repeat."""
    verdict = check(of_a_tenant(day), QUIET)
    assert {one.rule for one in verdict.violations} <= {Rule.REPLAYS}
    assert verdict.figures.wakes == 3
    assert len(verdict.figures.delays) == 3


def test_a_topic_of_a_namespace_speaks_of_no_other(day: Recording) -> None:
    run = of_a_tenant(day)
    first = found(run, lambda one: one.topic == "request-counts.shop" and not is_forward(one))[0]
    intruder = first._replace(offset=first.offset + 90, value=b'{"svc": "web", "namespace": "bank"}')
    more = Recording((*run.records, intruder), run.partitions)
    assert "can not be read, and is not in the dead letters" in said(check(more, QUIET))


def test_a_request_of_a_tenant_that_was_skipped_is_found(day: Recording) -> None:
    run = of_a_tenant(day)
    one = [one for one in run.records if one.topic == "request-counts.shop" and one.key == b"shop/web"][2]
    more = one._replace(value=b'{"count": 9, "svc": "web", "namespace": "shop"}')
    assert "4 requests were lost" in said(check(replaced(run, one, more)))
