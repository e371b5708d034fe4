"""What is read out of workloads as the API shows them: replicas, ready ones, and whose hand was on them last."""

from datetime import UTC, datetime

import pytest

from consumer.adapters.kubernetes.workloads import Scale, scale_of, sketch
from consumer.core.service import TargetRef
from consumer.ports import TargetKey, TargetView

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
KEY = TargetKey("shop", TargetRef("apps/v1", "Deployment", "web"))
Content = dict[str, object]


def workload(spec: Content, status: Content | None = None, *hands: Content) -> Content:
    metadata = {"namespace": "shop", "name": "web", "uid": "u1", "generation": 7, "resourceVersion": "100"}
    return {"metadata": {**metadata, "managedFields": list(hands)}, "spec": spec, "status": status or {}}


def hand(name: str, minute: int, field: str = "f:replicas", subresource: str = "") -> Content:
    within = {"subresource": subresource} if subresource else {}
    return {"manager": name, "time": f"2026-01-31T09:{minute:02}:00Z", "fieldsV1": {"f:spec": {field: {}}}, **within}


def view(content: Content, scale: Scale | None = None) -> TargetView:
    seen = sketch(content)
    assert seen is not None
    return seen.view(KEY, NOW, scale)


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({"readyReplicas": 2, "availableReplicas": 1}, 2),
        ({"availableReplicas": 1}, 1),
        # None is left out.
        ({"replicas": 3}, 0),
        ({}, 0),
    ],
)
def test_ready_are_those_that_the_status_counts(status: Content, ready: int) -> None:
    assert view(workload({"replicas": 3}, status)).ready == ready


def test_what_a_kind_keeps_elsewhere_is_taken_from_its_scale() -> None:
    scale = scale_of({"metadata": {"uid": "u1", "resourceVersion": "100"}, "spec": {"replicas": 4}, "status": {}})
    assert scale is not None
    shown = view(workload({"size": 4}), scale)
    assert (shown.replicas, shown.ready) == (4, 0)


def test_of_several_hands_on_the_replicas_the_last_one_counts() -> None:
    hands = [hand("kubectl", 10), hand("maria", 20, subresource="scale"), hand("argocd", 30, "f:template")]
    assert view(workload({"replicas": 3}, None, *hands)).manager == "maria"


def test_a_status_that_was_written_is_no_hand_on_the_replicas() -> None:
    hands = [hand("kubectl", 10, "f:size"), hand("controller", 20, "f:size", "status")]
    assert view(workload({"size": 1}), Scale("u1", "100", 1, 1)).manager is None
    assert view(workload({"size": 1}, None, *hands), Scale("u1", "100", 1, 1)).manager == "kubectl"


@pytest.mark.parametrize("spec", [{"replicas": 0}, {"size": 0}])
def test_a_zero_that_nobody_is_named_for_is_nobodys(spec: Content) -> None:
    # A zero through /scale takes the name of whoever wrote it away, and leaves those who wrote something else.
    shown = view(workload(spec, None, hand("kubectl", 10, "f:template")), Scale("u1", "100", 0, 0))
    assert (shown.replicas, shown.manager) == (0, None)


@pytest.mark.parametrize("content", [None, [], {}, {"metadata": {"name": "web"}}])
def test_what_is_no_object_is_none(content: object) -> None:
    assert sketch(content) is None
    assert scale_of(content) is None
