"""Keys land where every other Kafka client puts them."""

import pytest
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from schemas.partitioning import murmur2, partition_for, partition_of, record_key


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_the_hash_gives_the_vectors_of_the_java_client(text: str, signed: int) -> None:
    assert murmur2(text.encode()) == signed & 0xFFFFFFFF


@given(st.binary(max_size=70))
def test_the_hash_equals_the_one_of_aiokafka(data: bytes) -> None:
    assert murmur2(data) == reference(data) & 0xFFFFFFFF


@given(st.binary(max_size=40), st.integers(min_value=1, max_value=1000))
def test_a_partition_is_always_one_of_those_there_are(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


def test_a_service_is_found_by_the_key_of_its_records() -> None:
    assert record_key("shop", "web") == b"shop/web"
    assert partition_for("shop", "web", 12) == partition_of(b"shop/web", 12)
    assert len({partition_for("shop", f"web-{n}", 12) for n in range(200)}) == 12
