"""A real API server takes every resource that KubeElasti takes, and refuses mistakes in words for their authors."""

from collections.abc import AsyncIterator
from copy import deepcopy

import pytest

from consumer.adapters.kubernetes.api import Access, Api, PatchKind
from consumer.core.policy import Policy
from consumer.elastiservice import FINALIZER, PAUSED, PAUSED_UNTIL, policy_from
from consumer.ports import TargetInvalidError
from consumer.scalers.contract import Defaults
from consumer.scalers.registry import Registry
from tests.live.elastiservices import Content, install, listed, namespace, path, resource

CHECK = Registry(Defaults("http://prometheus.monitoring:9090")).check
SERVER = "http://kube-prometheus-stack-prometheus.monitoring.svc.cluster.local:9090"
QUERY = 'sum(rate(nginx_ingress_controller_requests{service="shop-web"}[1m])) or vector(0)'
HEADERS_FROM = {"Authorization": {"prefix": "Bearer ", "secretKeyRef": {"name": "prometheus", "key": "token"}}}
CA_FROM = {"caFrom": {"secretKeyRef": {"name": "prometheus", "key": "ca.crt"}}}


@pytest.fixture
async def api(admin: Access) -> AsyncIterator[Api]:
    made = Api(admin)
    await install(made)
    yield made
    await made.close()


def prometheus(**metadata: object) -> Content:
    said = {"query": QUERY, "serverAddress": SERVER, "threshold": "0.5", **metadata}
    kept = {name: value for name, value in said.items() if value is not None}
    return resource(triggers=[{"type": "prometheus", "metadata": kept}])


def counting(**metadata: object) -> Content:
    return resource(triggers=[{"type": "request-count", "metadata": metadata}])


def targeting(**reference: object) -> Content:
    return resource(scaleTargetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", **reference})


def annotated(**annotations: str) -> Content:
    content = resource()
    content["metadata"] = {"name": "web", "annotations": annotations}
    return content


def full() -> Content:
    """Everything that KubeElasti documents, in one resource."""
    return resource(
        minTargetReplicas=1,
        cooldownPeriod=5,
        scaleTargetRef={"apiVersion": "apps/v1", "kind": "deployments", "name": "web"},
        autoscaler={"type": "hpa", "name": "web-hpa"},
        enabledPeriod={"schedule": "0 8 * * 1-5", "duration": "12h"},
        triggers=[
            {
                "type": "prometheus",
                "metadata": {
                    "query": QUERY,
                    "serverAddress": SERVER,
                    "threshold": "0.5",
                    "uptimeFilter": 'container="prometheus"',
                    "headers": {"Authorization": "Bearer abc", "X-Scope-OrgID": "shop"},
                },
            }
        ],
        probeResponse=[
            {
                "method": "GET",
                "path": {"type": "PathPrefix", "value": "/healthz"},
                "headers": [{"name": "User-Agent", "value": "kube-probe"}],
                "queryParams": [{"name": "probe", "value": "1"}],
                "response": {"status": 200, "body": '{"ok":true}'},
            }
        ],
    )


SAMPLES = {
    "everything": full(),
    "a threshold without quotes": prometheus(threshold=0.5),
    "a whole threshold without quotes": prometheus(threshold=0),
    "a small threshold": prometheus(threshold="0.01"),
    "other spellings of names": resource(
        triggers=[{"type": "prometheus", "metadata": {"Query": "up", "THRESHOLD": "1", "ServerAddress": SERVER}}]
    ),
    "a rollout": targeting(apiVersion="argoproj.io/v1alpha1", kind="rollouts"),
    "a rollout by its kind": targeting(apiVersion="argoproj.io/v1alpha1", kind="Rollout"),
    "a stateful set": targeting(kind="StatefulSet"),
    "keda": resource(autoscaler={"type": "keda", "name": "web-scaled-object"}),
    "no cooldown": resource(cooldownPeriod=0),
    "the longest cooldown": resource(cooldownPeriod=604_800),
    "an empty period": resource(enabledPeriod={}),
    "a period in another zone": resource(enabledPeriod={"schedule": "CRON_TZ=Europe/Berlin 0 8 * * MON-FRI"}),
    "no server": prometheus(serverAddress=None),
}
OURS = {
    "any scalable kind": targeting(apiVersion="apps.kruise.io/v1beta1", kind="CloneSet"),
    "our fields": resource(
        mode="wake-only", wakeReplicas="previous", zeroGuard="resolver", zeroGuardTimeout="90s", startTimeout="1h30m"
    ),
    "requests counted": counting(threshold=1, window="10m"),
    "credentials": prometheus(headersFrom=HEADERS_FROM, tls=CA_FROM, serverAddress="https://prometheus:9090"),
    "a pause": annotated(**{PAUSED: "all", PAUSED_UNTIL: "2026-01-31T09:30:00Z"}),
}


async def test_what_is_documented_applies_and_means_the_same_as_in_a_file(api: Api) -> None:
    async with namespace(api) as here:
        for name, sample in (SAMPLES | OURS).items():
            written = deepcopy(sample)
            made = await api.post(path(here), written)
            assert isinstance(made, dict), name
            stored, filed = (policy_from(one, where=name, check=CHECK) for one in (made, _in(here, sample)))
            assert isinstance(stored, Policy), (name, stored)
            assert isinstance(filed, Policy), (name, filed)
            # What the API fills in are the defaults that a file has, too.
            assert stored.hash == filed.hash, name
            await api.delete(path(here, "web"))


def _in(namespace: str, content: Content) -> Content:
    metadata = content["metadata"]
    assert isinstance(metadata, dict)
    return {**content, "metadata": {**metadata, "namespace": namespace}}


async def test_a_scaler_that_is_a_plug_in_may_want_anything(api: Api) -> None:
    metadata = {"threshold": {"low": 1}, "query": 5, "headers": [1], "tls": True}
    async with namespace(api) as here:
        await api.post(path(here), resource(triggers=[{"type": "acme/queue-length", "metadata": metadata}]))


MISTAKES = {
    "no service": (resource(service=""), "must be the name of a Service"),
    "a service of another form": (resource(service="Web_1"), "lower-case letters, digits and inner hyphens, like web"),
    "a service that is too long": (resource(service="w" * 64), "at most 63"),
    "a kind in plural": (targeting(kind="statefulsets"), "kind in singular, like Deployment, StatefulSet or Rollout"),
    "no group version": (targeting(apiVersion="apps"), "must be group/version, like apps/v1"),
    "a kind of another group": (targeting(kind="Rollout"), "apps/v1 has no Rollout that can be scaled; write the"),
    "a group of another kind": (targeting(apiVersion="argoproj.io/v1alpha1"), "write apiVersion: apps/v1"),
    "a name of another form": (targeting(name="web/1"), "must be the name of the workload"),
    "no triggers in the list": (resource(triggers=[]), "must not be empty; write a trigger, or leave out triggers"),
    "a negative cooldown": (resource(cooldownPeriod=-1), "should be greater than or equal to 0"),
    "a cooldown beyond a week": (resource(cooldownPeriod=604_801), "should be less than or equal to 604800"),
    "a cooldown with a unit": (resource(cooldownPeriod="5m"), "must be of type integer"),
    "no replicas": (resource(minTargetReplicas=0), "should be greater than or equal to 1"),
    "an unknown mode": (resource(mode="dry-run"), "must be full, wake-only or observe"),
    "unknown replicas of a wake": (resource(wakeReplicas="max"), "must be min or previous"),
    "an unknown guard": (resource(zeroGuard="yes"), "must be none or resolver"),
    "a time without a unit": (resource(zeroGuardTimeout="60"), "must be a duration above zero"),
    "no time at all": (resource(startTimeout="0s"), "must be a duration above zero"),
    "a unit that Go does not know": (resource(startTimeout="1d"), 'like "90s", "30m" or "1h30m"'),
    "a schedule with a name": (resource(enabledPeriod={"schedule": "@daily"}), "five cron fields"),
    "a schedule of six fields": (resource(enabledPeriod={"schedule": "0 0 * * * *"}), "five cron fields"),
    "a period without a unit": (resource(enabledPeriod={"duration": "8"}), "must be a duration above zero"),
    "an unknown autoscaler": (resource(autoscaler={"type": "vpa", "name": "web"}), "must be hpa or keda"),
    "an autoscaler without a name": (resource(autoscaler={"type": "keda"}), "autoscaler.name: Required value"),
    "a type in capitals": (resource(triggers=[{"type": "Prometheus"}]), "is written in lower case"),
    "a type of two words": (resource(triggers=[{"type": "request count"}]), "must be one word"),
    "no metadata": (resource(triggers=[{"type": "prometheus"}]), "write serverAddress, query and threshold below it"),
    "no threshold": (prometheus(threshold=None), 'is busy, like threshold: "0.5"'),
    "a threshold in words": (prometheus(threshold="abc"), 'not a number; write it like threshold: "0.5"'),
    "a threshold with blanks": (prometheus(threshold=" 0.5"), "not a number"),
    "a threshold that is no number": (prometheus(threshold=True), "not a number"),
    "no query": (prometheus(query=None), "has no query; write one that gives one number"),
    "an address without a scheme": (prometheus(serverAddress="prometheus:9090"), "serverAddress: http://"),
    "a header without a Secret": (prometheus(headersFrom={"Authorization": "abc"}), "names no Secret; write it like"),
    "a header without a key": (
        prometheus(headersFrom={"Authorization": {"secretKeyRef": {"name": "x"}}}),
        "names no Secret",
    ),
    "half a certificate": (prometheus(tls={"certFrom": {}}), "certFrom with keyFrom"),
    "an unknown field of tls": (prometheus(tls={"insecureSkipVerify": True}), "takes caFrom or caFile"),
    "no requests": (counting(window="10m"), 'is busy, like threshold: "1"'),
    "no window": (counting(threshold="1"), 'like window: "10m"'),
    "a window without a unit": (counting(threshold="1", window="10"), 'like window: "10m"'),
    "an unknown pause": (annotated(**{PAUSED: "yes"}), 'write "sleep" or "all"'),
    "a pause until some time": (annotated(**{PAUSED_UNTIL: "tomorrow"}), 'like "2026-01-31T09:30:00Z"'),
    "a probe's status": (resource(probeResponse=[{"response": {"status": 299}}]), "upported values: "),
}


async def test_each_mistake_is_refused_with_what_to_write_instead(api: Api) -> None:
    async with namespace(api) as here:
        for name, (content, told) in MISTAKES.items():
            with pytest.raises(TargetInvalidError) as refused:
                await api.post(path(here), content)
            assert told in str(refused.value), (name, str(refused.value))


async def test_what_is_being_deleted_is_let_go_whatever_it_says(api: Api) -> None:
    wrong = {
        "metadata": {"annotations": {PAUSED: "yes"}},
        "spec": {"triggers": [{"type": "prometheus", "metadata": {}}]},
    }
    async with namespace(api) as here:
        await api.post(path(here), resource())
        held = [{"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]}]
        await api.patch(path(here, "web"), held, PatchKind.JSON)
        with pytest.raises(TargetInvalidError):
            await api.patch(path(here, "web"), wrong, PatchKind.MERGE)
        await api.delete(path(here, "web"))
        await api.patch(path(here, "web"), wrong, PatchKind.MERGE)
        await api.patch(f"{path(here, 'web')}/status", {"status": {"effectiveMode": "full"}}, PatchKind.MERGE)
        await api.patch(path(here, "web"), [{"op": "remove", "path": "/metadata/finalizers"}], PatchKind.JSON)
        assert await listed(api, here) == []


async def test_people_see_mode_replicas_reason_and_last_wake_at_a_glance(api: Api) -> None:
    definition = await api.get(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/elastiservices.elasti.truefoundry.com"
    )
    match definition:
        case {"spec": {"versions": [{"additionalPrinterColumns": list(columns), "subresources": {"status": {}}}]}}:
            shown = [column["name"] for column in columns if not column.get("priority")]
            assert shown == ["Ready", "Mode", "Replicas", "Reason", "Last wake", "Age"]
        case other:
            pytest.fail(str(other))
