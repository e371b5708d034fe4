"""Where a key belongs: Kafka's own default, so that producers in any language agree with us."""

from functools import lru_cache

_SEED = 0x9747B28C
_M = 0x5BD1E995
_R = 24
_WORD = 4
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 of the bytes, unsigned, with the seed that Kafka's clients use."""
    end = len(data) & ~(_WORD - 1)
    h = (_SEED ^ len(data)) & _MASK
    for start in range(0, end, _WORD):
        k = int.from_bytes(data[start : start + _WORD], "little") * _M & _MASK
        k = (k ^ k >> _R) * _M & _MASK
        h = h * _M & _MASK ^ k
    if end < len(data):
        h = (h ^ int.from_bytes(data[end:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a record key, as Kafka's default partitioner does: `toPositive(murmur2(key)) % P`."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def record_key(namespace: str, service: str) -> bytes:
    """Return the key that all records of a service have, in every topic."""
    return f"{namespace}/{service}".encode()


@lru_cache(maxsize=65_536)
def partition_for(namespace: str, service: str, partitions: int) -> int:
    """Return the partition of a service; remembered, since it is asked for every request."""
    return partition_of(record_key(namespace, service), partitions)
