"""What arrives: in the right partition or not, readable or not; nothing is lost and nothing stops the rest."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.core.service import ServiceKey
from consumer.ports import Output, Placed, Record
from consumer.telemetry import DeadLetterCause
from consumer.worker.intake import Place, read
from consumer.worker.session import runs
from consumer.worker.settings import Input
from schemas.codec import decode
from schemas.dead_letter import said_of
from schemas.origin import Origin, origin_of
from schemas.scale_result import ScaleResult
from schemas.topics import MAX_VALUE_BYTES, Topic
from tests.worker.bed import T0, WEB, Bed, policy

CART = ServiceKey("shop", "cart")
ASK_CART = b'{"svc": "cart", "namespace": "shop"}'
MODE = 'elasti_operator_mode{cluster="default",crd_name="shop/cart"}'


async def test_a_request_without_a_key_in_a_wrong_partition_wakes_with_its_origin() -> None:
    bed = Bed(policy(CART), partitions=2)
    async with bed.running():
        bed.result("observed", CART, replicas=0, ready_replicas=0)
        await bed.settle()
        stray = bed.raw(Topic.REQUEST_COUNTS, ASK_CART, bed.home(WEB))
        await bed.until(lambda: bool(bed.commands()))
        (command,) = bed.commands()
        assert command.cause.model_dump() == {"topic": stray.topic, "partition": bed.home(WEB), "offset": 0}
        assert command.triggered_at == stray.at
        await bed.flush()
        assert bed.committed(Topic.REQUEST_COUNTS, bed.home(WEB)) == 1
        assert bed.committed(Topic.REQUEST_COUNTS, bed.home(CART)) == 1


class SlowPublisher:
    """Takes five seconds for the first record; in the last of them a request comes for a service of the partition."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self._real = bed.ports().publisher
        self.came: list[Placed] = []

    async def publish(self, output: Output) -> Placed:
        if not self.came:
            self._bed.clock.advance(timedelta(seconds=5))
            self.came.append(self._bed.request())
            await self._bed.settle()
        return await self._real.publish(output)


async def test_a_request_that_comes_while_another_is_forwarded_has_its_own_time() -> None:
    """By the time at which the forward began it would be too old, and the service asleep five seconds too soon."""
    bed = Bed(policy(), policy(CART), partitions=2)
    publisher = SlowPublisher(bed)
    async with bed.running(replace(bed.ports(), publisher=publisher)) as worker:
        bed.raw(Topic.REQUEST_COUNTS, ASK_CART, bed.home(WEB))
        await bed.flush()
        assert worker.states()[WEB].last_request_at == publisher.came[0].at == T0 + timedelta(seconds=5)


async def test_a_repeated_forward_changes_nothing() -> None:
    bed = Bed(policy(CART), partitions=2)
    async with bed.running() as worker:
        bed.raw(Topic.REQUEST_COUNTS, ASK_CART, bed.home(WEB))
        await bed.until(lambda: bool(bed.commands()))
        (forwarded,) = [r for r in bed.records(Topic.REQUEST_COUNTS) if r.partition == bed.home(CART)]
        before = worker.states()[CART]
        bed.raw(Topic.REQUEST_COUNTS, forwarded.value, bed.home(CART), headers=forwarded.headers)
        await bed.flush()
        assert worker.states()[CART] == before
        assert len(bed.commands()) == 1


@pytest.mark.parametrize(("topic", "partition"), [("of-a-mirror", 0), ("elasti.request-counts", 1_024)])
async def test_an_origin_that_no_forwarder_of_ours_writes_is_not_remembered(topic: str, partition: int) -> None:
    bed = Bed(policy())
    async with bed.running() as worker:
        for number in range(300):
            bed.request(headers=Origin(topic + "x" * 4_000 * (partition == 0), partition + number, 7, T0).headers())
        await bed.flush()
        (mark,) = [mark for mark in worker.states()[WEB].marks if mark.topic.endswith("request-counts")]
        assert (mark.topic, mark.partition, mark.offset) == (bed.name(Topic.REQUEST_COUNTS), 0, 299)
        assert len(worker.states()[WEB].marks) == 1


@pytest.mark.parametrize("partition", [0, 1])
async def test_a_made_up_origin_that_is_still_to_come_does_not_outdate_real_requests(partition: int) -> None:
    bed = Bed(policy(), policy(CART), partitions=2)
    topic, places = bed.name(Topic.REQUEST_COUNTS), (bed.home(WEB), bed.home(CART))
    async with bed.running() as worker:
        ahead = Origin(topic, places[partition], 2**62, T0 + timedelta(days=30_000))
        bed.request(headers=ahead.headers())
        await bed.flush()
        await bed.pass_time(timedelta(seconds=1))
        real = bed.raw(Topic.REQUEST_COUNTS, b'{"svc": "web", "namespace": "shop"}', places[partition])
        await bed.flush()
        assert worker.states()[WEB].last_request_at == real.at


async def test_what_was_forwarded_and_is_still_wrong_goes_to_the_dead_letters() -> None:
    bed = Bed(partitions=2)
    async with bed.running():
        bed.raw(Topic.REQUEST_COUNTS, ASK_CART, bed.home(WEB))
        await bed.until(lambda: any(r.partition == bed.home(CART) for r in bed.records(Topic.REQUEST_COUNTS)))
        (forwarded,) = [r for r in bed.records(Topic.REQUEST_COUNTS) if r.partition == bed.home(CART)]
        bed.raw(Topic.REQUEST_COUNTS, ASK_CART, bed.home(WEB), headers=forwarded.headers)
        await bed.flush()
        (letter,) = bed.records(Topic.DEAD_LETTER)
        assert "wrong too" in said_of(letter.headers)["cause"]
        assert bed.committed(Topic.REQUEST_COUNTS, bed.home(WEB)) == 2


async def test_requests_of_one_service_are_forwarded_in_their_order() -> None:
    bed = Bed(policy(CART), partitions=2)
    for number in range(20):
        value = json.dumps({"svc": "cart", "namespace": "shop", "count": number}).encode()
        bed.raw(Topic.REQUEST_COUNTS, value, bed.home(WEB))
    async with bed.running():
        await bed.flush()
        moved = [r for r in bed.records(Topic.REQUEST_COUNTS) if r.partition == bed.home(CART)]
        origins = [origin_of(record.headers) for record in moved]
        assert [origin.offset for origin in origins if origin] == list(range(20))
        assert all(record.key == b"shop/cart" for record in moved)


async def test_a_stray_that_is_too_large_to_be_forwarded_goes_to_the_dead_letters() -> None:
    bed = Bed(partitions=2)
    async with bed.running():
        padding = "x" * 1_047_000
        value = json.dumps({"svc": "cart", "namespace": "shop", "padding": padding}).encode()
        bed.raw(Topic.REQUEST_COUNTS, value, bed.home(WEB))
        await bed.flush()
        (letter,) = bed.records(Topic.DEAD_LETTER)
        assert "too large" in said_of(letter.headers)["cause"]
        assert len(letter.value or b"") == MAX_VALUE_BYTES


@pytest.mark.parametrize(
    ("topic", "value", "cause"),
    [
        (Topic.REQUEST_COUNTS, b"{", "not JSON"),
        (Topic.REQUEST_COUNTS, None, "tombstone"),
        (Topic.REQUEST_COUNTS, b'{"svc": "web", "namespace": "shop", "count": true}', "count"),
        (Topic.HOSTS, b'{"Namespace": "shop"}', "SourceService"),
        (Topic.SCALE_RESULTS, b'{"phase": "ready"}', "cluster"),
    ],
)
async def test_poison_goes_to_the_dead_letters_and_the_offset_moves_on(
    topic: Topic, value: bytes | None, cause: str
) -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.raw(topic, value, key=b"k")
        bed.request()
        await bed.flush()
        (letter,) = bed.records(Topic.DEAD_LETTER)
        assert cause in said_of(letter.headers)["cause"]
        assert (letter.key, letter.value) == (b"k", value or b"")
        assert bed.committed(topic) >= 1
        assert len(bed.commands()) == 1


async def test_a_key_that_is_too_long_is_left_out_of_a_dead_letter() -> None:
    bed = Bed()
    async with bed.running():
        bed.raw(Topic.REQUEST_COUNTS, b"y" * 600_000, key=b"k" * 400_000)
        await bed.flush()
        (letter,) = bed.records(Topic.DEAD_LETTER)
        assert letter.key is None
        assert letter.value == b"y" * 600_000


async def test_a_result_of_another_cluster_is_not_believed() -> None:
    bed = Bed(policy())
    async with bed.running() as worker:
        bed.result("observed", cluster="elsewhere")
        await bed.flush()
        assert worker.states()[WEB].target is None
        (letter,) = bed.records(Topic.DEAD_LETTER)
        assert "elsewhere" in said_of(letter.headers)["cause"]


async def test_hosts_are_remembered_per_service_wherever_they_arrive() -> None:
    bed = Bed(policy(CART), partitions=2)
    host = {"IncomingHost": "cart.shop", "Namespace": "shop", "SourceService": "cart", "TrafficAllowed": True}
    async with bed.running() as worker:
        bed.raw(Topic.HOSTS, json.dumps(host).encode(), bed.home(WEB))
        await bed.flush()
        await bed.flush()
        (known,) = worker.states()[CART].hosts
        assert (known.incoming, known.allowed) == ("cart.shop", True)
        bed.request(CART)
        await bed.flush()
        assert MODE + " 1" in bed.telemetry.render()[0].decode()
        bed.policies.drop(CART)
        await bed.flush()
        assert MODE not in bed.telemetry.render()[0].decode()


async def test_the_mode_of_a_service_is_shown_by_its_owner_alone() -> None:
    bed = Bed(policy(CART))
    host = {"IncomingHost": "cart.shop", "Namespace": "shop", "SourceService": "cart", "TrafficAllowed": True}
    async with bed.running():
        bed.raw(Topic.HOSTS, json.dumps(host).encode())
        bed.request(CART)
        await bed.flush()
        assert MODE + " 1" in bed.telemetry.render()[0].decode()
    assert MODE not in bed.telemetry.render()[0].decode()


async def test_a_result_in_a_wrong_partition_is_forwarded() -> None:
    bed = Bed(policy(CART), partitions=2)
    placed = bed.result("observed", CART)
    (record,) = bed.records(Topic.SCALE_RESULTS)
    batch = read(Input(Topic.SCALE_RESULTS), [record], Place(1 - placed.partition, 2), "default")
    (stray,) = batch.strays
    assert (stray.partition, stray.key) == (placed.partition, b"shop/cart")
    assert isinstance(decode(ScaleResult, record.value), ScaleResult)


def test_the_kinds_of_dead_letters_are_told_apart() -> None:
    assert {kind.value for kind in DeadLetterCause} == {"undecodable", "misrouted", "too-large"}


def test_fetched_records_are_cut_into_runs_of_one_topics_partition() -> None:
    places = [("a", 0), ("a", 0), ("a", 1), ("b", 1), ("a", 0)]
    records = [Record(topic, partition, n, None, None, T0) for n, (topic, partition) in enumerate(places)]
    assert [[record.offset for record in run] for run in runs(records)] == [[0, 1], [2], [3], [4]]
    assert list(runs([])) == []
