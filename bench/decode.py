"""What decoding costs beside the parser alone and pydantic's own way, taking turns: `python -m bench.decode`."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import orjson
from pydantic import TypeAdapter

from schemas.codec import Undecodable, decode_request_counts
from schemas.request_count import RequestCount

RECORDS = 5_000
BATCH = 500
ROUNDS = 21
BUDGET = 5.0
"""Times the parser alone: 2 µs a RequestCount, validation included, where the parser takes 0.4 µs of them."""

Values = Sequence[bytes | None]


def _values(pattern: str) -> list[bytes]:
    return [pattern.format(count=n % 9, n=n % 300).encode() for n in range(RECORDS)]


GOOD = _values('{{"count":{count},"svc":"service-{n}","namespace":"team-a"}}')
SPELLED_ODDLY = _values('{{"Count":{count},"Svc":"service-{n}","Namespace":"team-a"}}')
ONE_BAD_IN_EACH_BATCH = [b"{" if n % BATCH == 0 else value for n, value in enumerate(GOOD)]

_ADAPTER = TypeAdapter(RequestCount)


def ours(values: Values) -> None:
    """Decode in batches as large as a fetch."""
    for start in range(0, len(values), BATCH):
        decode_request_counts(values[start : start + BATCH])


def parser_alone(values: Values) -> None:
    """Parse without validating anything."""
    for value in values:
        if value is not None:
            orjson.loads(value)


def pydantic_json(values: Values) -> None:
    """Parse and validate one by one."""
    for value in values:
        if value is not None:
            _ADAPTER.validate_json(value)


def microseconds(work: Callable[[Values], None], values: Values) -> float:
    """Run once and return the time per record."""
    began = time.perf_counter()
    work(values)
    return (time.perf_counter() - began) / len(values) * 1e6


def measured() -> Mapping[str, float]:
    """Return the median of each contender over rounds that take turns."""
    contenders: dict[str, tuple[Callable[[Values], None], Values]] = {
        "ours": (ours, GOOD),
        "orjson.loads alone": (parser_alone, GOOD),
        "pydantic validate_json": (pydantic_json, GOOD),
        "ours, keys spelled oddly": (ours, SPELLED_ODDLY),
        "ours, one bad in each batch": (ours, ONE_BAD_IN_EACH_BATCH),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, (work, values) in contenders.items():
            times[name].append(microseconds(work, values))
    return {name: statistics.median(rounds) for name, rounds in times.items()}


def main() -> None:
    """Print the table and hold the budget."""
    bad = [one for one in decode_request_counts(ONE_BAD_IN_EACH_BATCH) if isinstance(one, Undecodable)]
    assert len(bad) == RECORDS // BATCH
    medians = measured()
    for name, cost in medians.items():
        print(f"{name:30} {cost:6.2f} µs a record  {cost / medians['orjson.loads alone']:5.1f} x")
    ratio = medians["ours"] / medians["orjson.loads alone"]
    assert ratio <= BUDGET, f"decoding takes {ratio:.1f} times the parsing, over the budget of {BUDGET}"


if __name__ == "__main__":
    main()
