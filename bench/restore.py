"""What reading and writing one state costs, per kind of state, beside the parser alone: `python -m bench.restore`."""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import orjson

from consumer.core.inputs import RecordCause
from consumer.core.reasons import Code, because
from consumer.core.service import Direction, Phase, ServiceKey, TargetRef
from consumer.core.state import Ask, HostFacts, Mark, Said, ServiceState, Sleep, TargetFacts, Wake
from consumer.core.window import Window
from consumer.wire.state import state_from_bytes, state_to_bytes

TIMES = 5_000
ROUNDS = 9
BUDGET = 8.0
"""Times what parsing the idle state alone takes. An idle machine parses it in 3 µs and reads it in 19 µs, which is
the 50,000 a second of design section 8; a busy one slows both."""

T0 = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
CAUSE = RecordCause("elasti.request-counts", 3, 1042)
NEW = ServiceState(ServiceKey("shop", "web"), T0)
IDLE = ServiceState(
    ServiceKey("shop", "web"),
    T0,
    seq=1769851800123,
    policy_uid="6f1c7e0a-4c8e-4a53-9d0e-3f6a3c1d2b4e",
    policy_hash="9696239e87",
    target_ref=TargetRef("apps/v1", "Deployment", "web"),
    target=TargetFacts("0b0e7a52-8a3c-4b0f-a9a5-5f2f8f6e2d11", 8, replicas=0, ready=0, at=T0),
    before_sleep=1,
    ask=Ask("5b0c", 1769851800123, Direction.ZERO, 0, T0, 1, Phase.ACCEPTED, T0, 8),
    marks=(Mark("elasti.request-counts", 3, 1042, T0),),
    last_request_at=T0,
    last_wake_at=T0,
    sleeps=(Sleep(T0),),
    said=Said("9e1d", "hold", because(Code.ASLEEP, since="2026-01-31T09:30:00.000Z", by="elasti"), T0, CAUSE),
)
WAKING = ServiceState(
    IDLE.key,
    T0,
    target_ref=IDLE.target_ref,
    target=IDLE.target,
    ask=IDLE.ask,
    marks=IDLE.marks,
    said=IDLE.said,
    wake=Wake(T0, Code.REQUEST, CAUSE, T0, None, 1, T0, T0, 7),
    hosts=(HostFacts("web.shop.svc.cluster.local", allowed=True, at=T0),),
    window=Window(timedelta(minutes=5), T0, tuple((index, 3) for index in range(20))),
)


def microseconds(work: Callable[[], object]) -> float:
    """Return the median time of one call."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(TIMES):
            work()
        rounds.append((time.perf_counter() - began) / TIMES * 1e6)
    return statistics.median(rounds)


def measured(name: str, state: ServiceState) -> float:
    """Print a line of the table and return what reading costs, in times of parsing alone."""
    raw = state_to_bytes(state, "default")
    assert state_from_bytes(raw) == state
    read = microseconds(partial(state_from_bytes, raw))
    parsed = microseconds(partial(orjson.loads, raw))
    written = microseconds(partial(state_to_bytes, state, "default"))
    print(f"{name:22} {len(raw):5} bytes  read {read:5.1f} µs (orjson.loads {parsed:4.1f})  write {written:5.1f} µs")
    return read / parsed


def main() -> None:
    """Print the table and hold the budget."""
    measured("new", NEW)
    measured("waking, with a window", WAKING)
    ratio = measured("idle", IDLE)
    assert ratio <= BUDGET, f"reading takes {ratio:.1f} times the parsing, over the budget of {BUDGET}"


if __name__ == "__main__":
    main()
