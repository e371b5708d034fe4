"""Whatever stands in a resource, or in a file of them, is a policy that can be judged by, or problems that say what."""

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.adapters.policy_files.documents import Reading, read
from consumer.core.answers import Answers, Evidence, No, TriggerAnswers, Yes
from consumer.core.inputs import CycleCause, PolicySeen, RecordCause, RequestSeen, Surroundings
from consumer.core.observe import observe
from consumer.core.policy import Policy
from consumer.core.replay import Judged, Occasion, judge
from consumer.core.schedule import parse_go_duration, parse_schedule
from consumer.core.state import ServiceState, TargetFacts
from consumer.elastiservice import key_of, policy_from, shareable
from consumer.ports import Problem
from consumer.scalers.registry import Registry
from consumer.wire.decision import decision_message
from consumer.wire.state import state_from_bytes, state_to_bytes
from schemas.topics import MAX_VALUE_BYTES
from tests.fuzz.poison import anything, changed, each_spoilt, places
from tests.worker.bed import T0

CHECK = Registry(installed=tuple).check
GOOD: dict[str, Any] = {
    "apiVersion": "elasti.truefoundry.com/v1alpha1",
    "kind": "ElastiService",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "6f1c7e0a-4c8e-4a53-9d0e-3f6a3c1d2b4e",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {
            "elasti.truefoundry.com/paused": "false",
            "elasti.truefoundry.com/paused-until": "2026-01-30T00:00:00Z",
        },
    },
    "spec": {
        "service": "web",
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minTargetReplicas": 1,
        "cooldownPeriod": 60,
        "triggers": [
            {
                "type": "prometheus",
                "metadata": {
                    "serverAddress": "http://prometheus:9090",
                    "query": "sum(rate(requests_total[1m])) or vector(0)",
                    "threshold": "0.5",
                    "uptimeFilter": 'job="prometheus"',
                    "headers": {"X-Tenant": "shop"},
                },
            },
            {"type": "request-count", "metadata": {"threshold": "1", "window": "5m"}},
        ],
        "autoscaler": {"type": "keda", "name": "web"},
        "enabledPeriod": {"schedule": "0 8 * * 1-5", "duration": "10h"},
        "zeroGuard": "resolver",
        "zeroGuardTimeout": "60s",
        "wakeReplicas": "previous",
        "mode": "full",
        "startTimeout": "30m",
    },
}
STATE_BYTES = 100_000

_cron = st.lists(
    st.sampled_from(
        ("*", "0", "59", "60", "-1", "*/5", "*/0", "1-5", "5-1", "1,2", "L", "W", "MON", "@daily", "٣", "9" * 50)
    )
    | st.text(max_size=4),
    max_size=7,
).map(" ".join)
_durations = st.lists(
    st.sampled_from(("1", "9" * 30, "-1", "0.5", "1e9", ".", "h", "m", "s", "ms", "µs", "ns", "d", " ")), max_size=5
).map("".join)
_words = (
    _cron
    | _durations
    | st.sampled_from(("CRON_TZ=UTC * * * * *", "TZ=Nowhere * * * * *", "TZ=" + "x" * 5_000 + " * * * * *"))
)


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    """A resource with some of its fields replaced."""
    resource = GOOD
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(tuple(places(resource))))
        resource = changed(resource, place, draw(anything | _words))
    return resource


@given(resources())
def test_any_resource_is_a_policy_or_problems(resource: dict[str, Any]) -> None:
    _read(resource)


def test_no_single_odd_value_of_a_resource_harms() -> None:
    for resource in each_spoilt(GOOD):
        try:
            _read(resource)
        except Exception as error:
            raise AssertionError(f"{resource!r:.1500}") from error


@given(anything.filter(lambda content: isinstance(content, dict)))
def test_any_object_is_no_policy_and_says_why(content: dict[str, Any]) -> None:
    assert isinstance(policy_from(content, where="x", check=CHECK), tuple)
    key_of(content)


def _read(resource: dict[str, Any]) -> None:
    found = policy_from(resource, where="x", check=CHECK)
    shareable(resource)
    if isinstance(found, Policy):
        _judged(found)
        assert key_of(resource) == found.key
    else:
        assert found
        assert all(0 < len(problem.message) < 2_000 for problem in found)


def _judged(policy: Policy) -> None:
    """Nothing that may be decided by it fails, or is too large to be written."""
    seen = PolicySeen(policy, T0)
    state = observe(ServiceState(policy.key, first_seen_at=T0 - timedelta(days=2)), seen, T0)
    for replicas in (0, 1, None):
        known = None if replicas is None else TargetFacts("u", 1, replicas, replicas, T0)
        for idle in (True, False):
            for occasion in (Occasion.CYCLE, Occasion.RETRY, Occasion.REQUEST, Occasion.RELEASE):
                _written(policy, _at(state, known), occasion, idle=idle)


def _at(state: ServiceState, target: TargetFacts | None) -> ServiceState:
    fields = {name: getattr(state, name) for name in ServiceState.__dataclass_fields__}
    return ServiceState(**{**fields, "target": target})


def _written(policy: Policy, state: ServiceState, occasion: Occasion, *, idle: bool) -> None:
    evidence = Evidence(0.0, 1.0)
    yes, no = Yes(evidence, T0), No(evidence, T0)
    answers = Answers(
        tuple(
            TriggerAnswers(f"{trigger.type}#{number}", yes, yes if idle else no, no if idle else yes)
            for number, trigger in enumerate(policy.triggers)
        )
    )
    event = RequestSeen(1, T0, RecordCause("elasti.request-counts", 0, 1)) if occasion is Occasion.REQUEST else None
    judged = Judged(occasion, policy, state, Surroundings(CycleCause("owner", 1)), T0, answers, event)
    outcome = judge(judged)
    written = state_to_bytes(outcome.state, "default")
    assert len(written) < STATE_BYTES
    assert state_from_bytes(written) == outcome.state
    assert len(decision_message(judged, outcome, "default", policy_is_new=True).encode()) <= MAX_VALUE_BYTES


@given(_cron | st.text(max_size=30))
def test_any_text_is_a_schedule_or_not(text: str) -> None:
    with suppress(ValueError):
        parse_schedule(text)


@given(_durations | st.text(max_size=30))
def test_any_text_is_a_duration_or_not(text: str) -> None:
    with suppress(ValueError):
        parse_go_duration(text)


_YAML = (
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a ",
    "---\n",
    "...\n",
    "\n",
    "  ",
    "|\n",
    ">-\n",
    "<<: ",
    "? ",
    "\t",
    "#",
)
_ODD = ("!!python/object:x ", "!!float ", "!!timestamp ", "2026-02-30", '"', "'", "\x00", "\ufeff", "%YAML 9.9\n")
_pieces = st.sampled_from((*_YAML, *_ODD, "kind", "ElastiService", "items", "List"))


@settings(max_examples=settings().max_examples * 2)
@given(st.lists(_pieces | st.text(max_size=5), max_size=40).map("".join))
def test_any_text_is_a_file_of_resources_or_a_problem(text: str) -> None:
    _file(text)


@given(resources(), st.data())
def test_a_file_that_was_torn_is_resources_or_a_problem(resource: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(resource, ensure_ascii=False, indent=1)
    start = data.draw(st.integers(0, len(text)))
    _file(text[:start] + data.draw(st.text(max_size=3)) + text[start + data.draw(st.integers(0, 3)) :])


def _file(text: str) -> None:
    found = read("policies.yaml", text)
    if isinstance(found, Problem):
        assert found.message
        return
    assert isinstance(found, Reading)
    for document in found.documents:
        policy_from(document.content, where=document.locate, check=CHECK)
        shareable(document.content)
