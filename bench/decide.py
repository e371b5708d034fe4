"""How long one judgement takes: medians of `decide`, `respond` and `observe` for typical services.

Run it with `python bench/decide.py`.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from consumer.core.answers import Answers, Evidence, No, TriggerAnswers, Yes
from consumer.core.decide import decide, respond
from consumer.core.inputs import CycleCause, RecordCause, RequestSeen, Surroundings
from consumer.core.observe import observe, observe_requests
from consumer.core.policy import Policy, Trigger
from consumer.core.service import Direction, Phase, ServiceKey, TargetRef
from consumer.core.state import Ask, ServiceState, TargetFacts

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
REF = TargetRef("apps/v1", "Deployment", "web")
POLICY = Policy(ServiceKey("shop", "web"), "web", "policy-1", "hash-1", NOW - DAY, REF, (Trigger("prometheus", ()),))
AWAKE = ServiceState(
    POLICY.key,
    NOW - DAY,
    policy_uid="policy-1",
    policy_hash="hash-1",
    target_ref=REF,
    target=TargetFacts("target-1", 3, 1, 1, NOW - DAY),
)
ASLEEP = replace(AWAKE, target=TargetFacts("target-1", 4, 0, 0, NOW - DAY))
TRAFFIC = replace(AWAKE, last_request_at=NOW - timedelta(minutes=1))
AROUND = Surroundings(CycleCause("producer-1/0", 1))
QUIET = Evidence(0.1, 0.5)
IDLE = Answers((TriggerAnswers("prometheus#0", Yes(QUIET, NOW), Yes(QUIET, NOW), No(QUIET, NOW)),))
BUSY = Answers((TriggerAnswers("prometheus#0", Yes(QUIET, NOW), No(QUIET, NOW), Yes(QUIET, NOW)),))
REQUEST = RequestSeen(1, NOW, RecordCause("elasti.request-counts", 3, 1042))
RUN = tuple(RequestSeen(1, NOW, RecordCause("elasti.request-counts", 3, offset)) for offset in range(100))

CALLS_A_ROUND = 2_000
ROUNDS = 15


def settled(state: ServiceState) -> ServiceState:
    """The state after this decision was written once, as it is at every later cycle."""
    return decide(POLICY, state, IDLE, AROUND, NOW).state


def median_us(call: Callable[[], object]) -> float:
    """Median over the rounds of one call's microseconds."""
    times = []
    for _ in range(ROUNDS):
        begin = perf_counter()
        for _ in range(CALLS_A_ROUND):
            call()
        times.append((perf_counter() - begin) / CALLS_A_ROUND * 1e6)
    return median(times)


def main() -> None:
    """Print one line for each case."""
    asleep, traffic, idle = settled(ASLEEP), settled(TRAFFIC), settled(AWAKE)
    warm = settled(replace(AWAKE, ready_at=NOW - timedelta(minutes=1)))
    blind = decide(POLICY, AWAKE, None, AROUND, NOW).state
    asked = Ask("c", 1, Direction.UP, 1, NOW - DAY, answer=Phase.UNCHANGED, answered_at=NOW - DAY, generation=3)
    busy = decide(POLICY, replace(AWAKE, ask=asked), BUSY, AROUND, NOW).state
    woken = respond(POLICY, observe(asleep, REQUEST, NOW), REQUEST, AROUND, NOW).state
    cases: tuple[tuple[str, Callable[[], object]], ...] = (
        ("decide: asleep, as before", lambda: decide(POLICY, asleep, IDLE, AROUND, NOW)),
        ("decide: recent traffic, as before", lambda: decide(POLICY, traffic, IDLE, AROUND, NOW)),
        ("decide: busy, up asked before", lambda: decide(POLICY, busy, BUSY, AROUND, NOW)),
        ("decide: cooling down, as before", lambda: decide(POLICY, warm, IDLE, AROUND, NOW)),
        ("decide: blind, as before", lambda: decide(POLICY, blind, None, AROUND, NOW)),
        ("decide: idle, zero already asked", lambda: decide(POLICY, idle, IDLE, AROUND, NOW)),
        ("decide: idle, zero decided and sent", lambda: decide(POLICY, AWAKE, IDLE, AROUND, NOW)),
        ("respond: up is asked already", lambda: respond(POLICY, woken, REQUEST, AROUND, NOW)),
        ("respond: wake decided and sent", lambda: respond(POLICY, asleep, REQUEST, AROUND, NOW)),
        ("observe: one request", lambda: observe(asleep, REQUEST, NOW)),
        ("observe: 100 requests of a service at once, each", lambda: observe_requests(asleep, RUN, NOW)),
    )
    for name, call in cases:
        each = median_us(call) / (len(RUN) if name.endswith("each") else 1)
        print(f"{name:<50} {each:6.2f} µs")


if __name__ == "__main__":
    main()
