"""What the API shows one by one is understood as a whole: in force, invalid, in the way, leaving, gone."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import pytest

from consumer.adapters.kubernetes.catalogue import Catalogue
from consumer.adapters.kubernetes.resources import Shown
from consumer.core.policy import Pause, PauseKind, Policy, Trigger
from consumer.core.service import ServiceKey
from consumer.elastiservice import FINALIZER, KUBEELASTI_FINALIZER, PAUSED
from consumer.ports import PolicyEntry, PolicyGone, ResourceRef, Shadowed

WEB, API = ServiceKey("shop", "web"), ServiceKey("shop", "api")
Content = dict[str, object]


def check(trigger: Trigger) -> Sequence[tuple[str, str]]:
    return () if trigger.type == "prometheus" else [("type", "is unknown; write prometheus")]


def shown(
    name: str = "web",
    *finalizers: str,
    service: str = "web",
    trigger: str = "prometheus",
    leaving: bool = False,
    **metadata: object,
) -> Content:
    meta: Content = {
        "namespace": "shop",
        "name": name,
        "uid": f"uid-{name}",
        "generation": 1,
        "resourceVersion": "10",
        "creationTimestamp": "2026-01-05T12:00:00Z",
        "finalizers": list(finalizers),
        **metadata,
    }
    if leaving:
        meta["deletionTimestamp"] = "2026-01-05T13:00:00Z"
    return {
        "apiVersion": "elasti.truefoundry.com/v1alpha1",
        "kind": "ElastiService",
        "metadata": meta,
        "spec": {
            "service": service,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service or "web"},
            "triggers": [{"type": trigger, "metadata": {"query": "up", "threshold": "1"}}],
        },
        "status": {"replicas": 1},
    }


def ref(name: str = "web") -> ResourceRef:
    return ResourceRef("shop", name, f"uid-{name}")


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(check)


def only_entry(changes: Sequence[PolicyEntry | PolicyGone]) -> PolicyEntry:
    (change,) = changes
    assert isinstance(change, PolicyEntry)
    return change


def policy_of(entry: PolicyEntry) -> Policy:
    assert entry.policy is not None
    return entry.policy


def test_a_resource_is_an_entry_with_its_uid_and_generation(catalogue: Catalogue) -> None:
    entry = only_entry(catalogue.show(shown()))
    assert (entry.key, entry.resource, entry.generation, entry.held, entry.problems) == (WEB, ref(), 1, False, ())
    assert policy_of(entry).uid == "uid-web"
    assert catalogue.entries() == {WEB: entry}


def test_what_says_the_same_again_is_no_change(catalogue: Catalogue) -> None:
    catalogue.show(shown())
    before = catalogue.entries()
    assert catalogue.show(shown(resourceVersion="11")) == []
    assert catalogue.entries() is before


def test_a_change_of_the_status_is_known_and_no_change_of_the_policy(catalogue: Catalogue) -> None:
    catalogue.show(shown())
    again = shown(resourceVersion="11")
    again["status"] = {"replicas": 0}
    assert catalogue.show(again) == []
    assert catalogue.shown(ref()) == Shown("11", (), {"replicas": 0})


def test_an_annotation_that_pauses_is_a_change_although_the_generation_stays(catalogue: Catalogue) -> None:
    catalogue.show(shown())
    entry = only_entry(catalogue.show(shown(annotations={PAUSED: "all"})))
    assert policy_of(entry).pause == Pause(PauseKind.ALL)


def test_an_annotation_of_somebody_else_is_none(catalogue: Catalogue) -> None:
    catalogue.show(shown())
    assert catalogue.show(shown(annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}"})) == []


def test_an_invalid_edit_leaves_the_last_valid_one_in_force(catalogue: Catalogue) -> None:
    before = only_entry(catalogue.show(shown()))
    entry = only_entry(catalogue.show(shown(trigger="prometeus", generation=2)))
    assert (entry.policy, entry.generation) == (before.policy, 2)
    assert [str(problem) for problem in entry.problems] == [
        "ElastiService shop/web: spec.triggers[0].type: is unknown; write prometheus"
    ]
    mended = only_entry(catalogue.show(shown(generation=3)))
    assert (mended.policy, mended.problems) == (before.policy, ())


def test_an_invalid_edit_of_the_service_leaves_the_old_one_in_force(catalogue: Catalogue) -> None:
    before = only_entry(catalogue.show(shown()))
    entry = only_entry(catalogue.show(shown(service="api", trigger="prometeus", generation=2)))
    assert (entry.key, entry.policy) == (WEB, before.policy)


def test_what_was_never_valid_is_an_entry_without_a_policy(catalogue: Catalogue) -> None:
    entry = only_entry(catalogue.show(shown(trigger="prometeus")))
    assert (entry.key, entry.policy, len(entry.problems)) == (WEB, None, 1)
    assert len(catalogue.problems()) == 1


def test_one_that_names_no_service_may_be_the_policy_of_any(catalogue: Catalogue) -> None:
    assert catalogue.show(shown(service="")) == []
    assert catalogue.nameless()
    catalogue.show(shown(generation=2))
    assert not catalogue.nameless()


def test_an_edit_that_names_another_service_ends_the_one_and_begins_the_other(catalogue: Catalogue) -> None:
    before = only_entry(catalogue.show(shown()))
    changes = catalogue.show(shown(service="api", generation=2))
    assert PolicyGone(WEB, before.policy, ref()) in changes
    assert [change.key for change in changes if isinstance(change, PolicyEntry)] == [API]


def test_of_two_for_one_service_the_oldest_is_in_force_and_names_the_other(catalogue: Catalogue) -> None:
    catalogue.show(shown("young", creationTimestamp="2026-01-06T12:00:00Z"))
    entry = only_entry(catalogue.show(shown("old")))
    assert entry.resource == ref("old")
    assert entry.shadowed == (Shadowed(ref("young"), (), 1),)
    assert catalogue.conflict(policy_of(entry)) is None
    successor = only_entry(catalogue.drop("uid-old"))
    assert (successor.resource, successor.shadowed) == (ref("young"), ())


def test_one_that_is_gone_takes_its_policy_along(catalogue: Catalogue) -> None:
    entry = only_entry(catalogue.show(shown()))
    assert catalogue.drop("uid-web") == [PolicyGone(WEB, entry.policy, ref())]
    assert catalogue.entries() == {}
    assert catalogue.shown(ref()) is None
    assert catalogue.drop("uid-web") == []


def test_what_is_deleted_and_held_is_gone_and_waits_to_be_let_go(catalogue: Catalogue) -> None:
    entry = only_entry(catalogue.show(shown("web", FINALIZER)))
    assert entry.held
    gone = PolicyGone(WEB, entry.policy, ref(), held=True)
    assert catalogue.show(shown("web", FINALIZER, leaving=True, generation=2)) == [gone]
    assert (catalogue.entries(), catalogue.held()) == ({}, [gone])
    assert catalogue.shown(ref()) == Shown("10", (FINALIZER,), {"replicas": 1}, leaving=True)
    assert catalogue.drop("uid-web") == [replace(gone, held=False)]
    assert catalogue.held() == []


def test_what_was_deleted_before_we_started_waits_too(catalogue: Catalogue) -> None:
    (gone,) = catalogue.show(shown("web", FINALIZER, leaving=True))
    assert isinstance(gone, PolicyGone)
    assert (gone.held, gone.policy is not None) == (True, True)


def test_what_was_deleted_while_invalid_still_says_what_is_to_be_given_back(catalogue: Catalogue) -> None:
    (gone,) = catalogue.show(shown("web", FINALIZER, leaving=True, trigger="of-an-older-version"))
    assert isinstance(gone, PolicyGone)
    assert (gone.held, gone.policy) == (True, None)
    assert gone.remains is not None
    assert (gone.remains.key, str(gone.remains.target)) == (WEB, "Deployment/web")


def test_what_is_deleted_and_held_by_others_alone_is_gone_at_once(catalogue: Catalogue) -> None:
    entry = only_entry(catalogue.show(shown("web", "example.com/backup")))
    leaving = shown("web", "example.com/backup", leaving=True)
    assert catalogue.show(leaving) == [PolicyGone(WEB, entry.policy, ref())]
    assert catalogue.show(leaving) == []
    assert catalogue.drop("uid-web") == []


def test_what_kubeelasti_left_behind_is_ours_to_let_go(catalogue: Catalogue) -> None:
    entry = only_entry(catalogue.show(shown("web", KUBEELASTI_FINALIZER)))
    assert not entry.held
    (gone,) = catalogue.show(shown("web", KUBEELASTI_FINALIZER, leaving=True))
    assert isinstance(gone, PolicyGone)
    assert gone.held


def test_what_kubeelasti_holds_beside_us_is_its_own_affair() -> None:
    catalogue = Catalogue(check, beside_kubeelasti=True)
    catalogue.show(shown("web", KUBEELASTI_FINALIZER))
    (gone,) = catalogue.show(shown("web", KUBEELASTI_FINALIZER, leaving=True))
    assert isinstance(gone, PolicyGone)
    assert not gone.held


def test_a_successor_is_in_force_while_the_old_one_is_leaving(catalogue: Catalogue) -> None:
    catalogue.show(shown("old", FINALIZER))
    catalogue.show(shown("young", creationTimestamp="2026-01-06T12:00:00Z"))
    entry = only_entry(catalogue.show(shown("old", FINALIZER, leaving=True)))
    assert (entry.resource, entry.shadowed) == (ref("young"), (Shadowed(ref("old"), (), 1, leaving=True),))
    assert only_entry(catalogue.drop("uid-old")).shadowed == ()


def test_one_that_is_made_again_under_its_name_is_another_one(catalogue: Catalogue) -> None:
    catalogue.show(shown())
    catalogue.drop("uid-web")
    entry = only_entry(catalogue.show(shown(uid="uid-2", trigger="prometeus")))
    assert entry.policy is None
    assert entry.resource == ResourceRef("shop", "web", "uid-2")


def test_a_whole_listing_ends_what_it_does_not_show_in_its_own_scope(catalogue: Catalogue) -> None:
    catalogue.show(shown("web"), "shop")
    catalogue.show(shown("api", service="api"), "shop")
    catalogue.show(shown("till", service="web", namespace="till"), "till")
    changes = catalogue.keep({"uid-api"}, "shop")
    assert [(type(change), change.key) for change in changes] == [(PolicyGone, WEB)]
    assert set(catalogue.entries()) == {API, ServiceKey("till", "web")}


def test_resources_in_force_are_shown_with_the_status_that_is_theirs_now(catalogue: Catalogue) -> None:
    catalogue.show(shown())
    later = shown(trigger="prometeus", generation=2)
    later["status"] = {"replicas": 5}
    catalogue.show(later)
    text = catalogue.texts()[WEB]
    assert b'"prometheus"' in text.spec
    assert text.status == b'{"replicas":5}'


@pytest.mark.parametrize("metadata", [None, {}, {"namespace": "shop", "name": "web"}, "text"])
def test_what_is_no_object_is_refused(catalogue: Catalogue, metadata: object) -> None:
    content = deepcopy(shown())
    content["metadata"] = metadata
    with pytest.raises(ValueError, match="uid"):
        catalogue.show(content)


def test_one_that_names_no_service_and_is_held_is_let_go_under_its_own_name(catalogue: Catalogue) -> None:
    assert catalogue.show(shown("nameless", KUBEELASTI_FINALIZER, service="", leaving=True)) == [
        PolicyGone(ServiceKey("shop", "nameless"), None, ref("nameless"), held=True)
    ]


def test_what_was_handed_out_does_not_change_under_its_reader(catalogue: Catalogue) -> None:
    catalogue.show(shown())
    before = catalogue.entries()
    catalogue.show(shown("api", service="api"))
    catalogue.drop("uid-web")
    assert set(before) == {WEB}
    assert set(catalogue.entries()) == {API}
