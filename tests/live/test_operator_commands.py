"""Commands for whoever operates it, as processes of their own, on a real Kafka and a real API server."""

import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import KafkaConnection, KafkaPublisher
from consumer.adapters.kubernetes.api import Access, Api, PatchKind
from consumer.core.service import OWN_MANAGER
from consumer.elastiservice import FINALIZER
from consumer.insight.rights import OPERATOR
from consumer.ports import Output
from schemas.decision import Action, Decision
from schemas.partitioning import partition_for
from schemas.topics import Topic
from tests.bed.kube import Deed, Kube, ref
from tests.bed.manifests import deployment, scaled_object
from tests.live.elastiservices import install, namespace, path, resource
from tests.live.program import elasti

EXAMPLE = Decision.model_config["json_schema_extra"]["examples"][0]  # type: ignore[index]
PAUSED, HELD = "autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"


@pytest.fixture
async def api(admin: Access) -> AsyncIterator[Api]:
    made = Api(admin)
    await install(made)
    yield made
    await made.close()


@pytest.fixture
async def here(api: Api) -> AsyncIterator[str]:
    async with namespace(api) as name:
        yield name


@pytest.fixture
def in_cluster(cluster: ControlPlane, here: str) -> tuple[str, ...]:
    """The flags that name a cluster, with the installation and its services in one namespace."""
    file = cluster.kubeconfig()
    return ("--kubeconfig", str(file), "--installed-in", here, "--watch-namespaces", here)


@pytest.fixture
async def in_log(kafka: EmbeddedKafka, prefix: str) -> tuple[str, ...]:
    """The flags that name a Kafka with all topics."""
    flags = ("--kafka-bootstrap", kafka.bootstrap, "--topic-prefix", prefix)
    code, _, err = await elasti("topics", "create", *flags, "--partitions", 3, "--replication-factor", 1)
    assert code == 0, err
    return flags


@pytest.fixture
def away() -> tuple[str, ...]:
    """The flags that name a Kafka where nobody is."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return ("--kafka-bootstrap", f"127.0.0.1:{held.getsockname()[1]}")


async def asleep(api: Api, kube: Kube, here: str, name: str, *, had: int, **spec: object) -> None:
    """A service that we put to sleep, as it stands in the API: at zero, held, with what it had in its status."""
    web = ref(await kube.apply(deployment(name, had), namespace=here))
    await kube.scale(web, 0, manager=OWN_MANAGER)
    content = resource(name, **spec)
    content["metadata"] = {"name": name, "finalizers": [FINALIZER]}
    await api.post(path(here), content)
    status = {"status": {"previousReplicas": had}}
    await api.patch(f"{path(here, name)}/status", status, PatchKind.MERGE)


async def replicas(kube: Kube, here: str, name: str) -> object:
    return (await kube.get(ref(deployment(name), namespace=here)))["spec"]["replicas"]


async def test_a_freeze_is_in_both_places_until_it_is_taken_back(
    in_log: tuple[str, ...], in_cluster: tuple[str, ...], here: str
) -> None:
    both = (*in_log, *in_cluster)
    code, out, err = await elasti("freeze", "-n", "shop", "--why", "sale", "--by", "maria", *both)
    assert (code, err) == (0, "")
    assert f"written to ConfigMap {here}/elasti-switches" in out
    code, out, err = await elasti("mode", "observe", "--why", "first week", "--for", "2h", *both)
    assert (code, err) == (0, "")
    code, out, err = await elasti("switches", "--json", *both)
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert [(one["scope"], one["kind"], len(one["writtenTo"])) for one in told["switches"]] == [
        ("*", "mode", 2),
        ("shop/*", "freeze", 2),
    ]
    code, _, err = await elasti("unfreeze", "-n", "shop", "--why", "over", *both)
    assert (code, err) == (0, "")
    _, out, _ = await elasti("switches", "--json", *both)
    assert [one["kind"] for one in json.loads(out)["switches"]] == ["mode"]


async def test_a_freeze_with_kafka_away_is_in_the_cluster(
    away: tuple[str, ...], in_cluster: tuple[str, ...], api: Api, here: str
) -> None:
    code, out, err = await elasti("freeze", "--why", "sale", *away, *in_cluster)
    assert code == 0
    assert "sleeps of * are frozen" in out
    assert "NOT written to topic elasti.control" in err
    match await api.get(f"/api/v1/namespaces/{here}/configmaps/elasti-switches"):
        case {"data": {"everything.freeze": str(text)}}:
            assert json.loads(text)["freeze"]["why"] == "sale"
        case other:
            raise AssertionError(other)


async def test_everything_is_given_back_without_kafka(
    in_cluster: tuple[str, ...], api: Api, kube: Kube, here: str
) -> None:
    await asleep(api, kube, here, "web", had=3, autoscaler={"type": "keda", "name": "web"})
    await asleep(api, kube, here, "cart", had=2)
    keda = scaled_object("web", target="web")
    keda["metadata"]["annotations"] = {PAUSED: "true", HELD: "0", "elasti.truefoundry.com/paused-by": "c1"}
    await kube.apply(keda, namespace=here)

    code, out, err = await elasti("restore", "-n", here, "--dry-run", *in_cluster)
    assert (code, err) == (0, "")
    assert await replicas(kube, here, "web") == 0

    code, out, err = await elasti("restore", "-n", here, *in_cluster)
    assert (code, err) == (0, ""), out
    assert "2 ElastiServices: 2 woken, 0 left to do" in out
    assert (await replicas(kube, here, "web"), await replicas(kube, here, "cart")) == (3, 2)
    annotations = (await kube.get(ref(keda, namespace=here)))["metadata"].get("annotations", {})
    assert not {PAUSED, HELD} & set(annotations)
    for name in ("web", "cart"):
        match await api.get(path(here, name)):
            case {"metadata": dict(metadata)}:
                assert "finalizers" not in metadata
            case other:
                raise AssertionError(other)
    code, out, err = await elasti("restore", "-n", here, *in_cluster)
    assert (code, err) == (0, "")
    assert "2 ElastiServices: 0 woken" in out


async def test_of_two_zeros_ours_is_raised_and_one_by_hand_is_named_and_left(
    in_cluster: tuple[str, ...], api: Api, kube: Kube, here: str
) -> None:
    for name in ("web", "cart"):
        await asleep(api, kube, here, name, had=2)
    cart = ref(deployment("cart"), here)
    # Somebody edits the Deployment, as `kubectl edit` and GitOps do: whose zero it is now, the API knows.
    await kube.merge(cart, {"spec": {"replicas": 1}}, manager="kubectl-edit")
    await kube.merge(cart, {"spec": {"replicas": 0}}, manager="kubectl-edit")
    code, out, err = await elasti("restore", "-n", here, *in_cluster)
    assert (code, err) == (0, ""), out
    assert f"{here}/cart: left Deployment/cart at 0: scaled by kubectl-edit; took our finalizer off" in out
    assert (await replicas(kube, here, "web"), await replicas(kube, here, "cart")) == (2, 0)
    code, out, err = await elasti("restore", "-n", here, "--also-others", *in_cluster)
    assert (code, err) == (0, ""), out
    assert await replicas(kube, here, "cart") == 2


async def test_a_fleet_is_woken_directly_and_waited_for(
    away: tuple[str, ...], in_cluster: tuple[str, ...], api: Api, kube: Kube, here: str
) -> None:
    for name in ("web", "cart"):
        await asleep(api, kube, here, name, had=2)
    code, out, err = await elasti("wake", "-n", here, "--wait", "60s", *away, *in_cluster)
    assert code == 0, out + err
    assert "Waking directly instead." in err
    assert out.endswith("2 ready\n")


async def test_the_doctor_finds_what_is_wrong_with_targets(
    in_log: tuple[str, ...], in_cluster: tuple[str, ...], api: Api, kube: Kube, here: str
) -> None:
    await asleep(api, kube, here, "web", had=1)
    await kube.apply(scaled_object("web", target="web"), namespace=here)
    await api.post(path(here), resource("lost"))
    code, out, err = await elasti("doctor", "--output", "json", *in_log, *in_cluster)
    assert (code, err) == (1, "")
    told = json.loads(out)
    found = {(one["severity"], one["subject"], one["what"].partition(":")[0]) for one in told["findings"]}
    assert ("error", f"{here}/lost", f"its target {here}/Deployment/lost is not there") in found
    assert ("error", f"{here}/web", "the ScaledObject web scales its target, too, and would undo its sleeps") in found
    assert not [one for one in told["findings"] if one["subject"].startswith(("rights", "clock", "Kafka"))]


async def test_the_doctor_tells_somebody_without_rights_what_to_grant(cluster: ControlPlane, here: str) -> None:
    file = cluster.kubeconfig(cluster.user("nobody"))
    code, out, err = await elasti("doctor", "--kubeconfig", file, "--installed-in", here)
    assert (code, err) == (1, "")
    assert "no Kafka is named" in out
    assert "may not list, get, patch elastiservices" in out.replace("\n", " ")
    assert "is forbidden" in out.replace("\n  ", " ")
    # That it is served everyone may see.
    assert "has no definition" not in out


async def test_the_rights_of_an_operator_are_enough(cluster: ControlPlane, api: Api, kube: Kube, here: str) -> None:
    user = cluster.user("operator")
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{here}"
    rules = [
        {
            "apiGroups": [right.group],
            "resources": ["/".join(part for part in (right.resource, right.subresource) if part)],
            "verbs": [right.verb],
            **({"resourceNames": [right.name]} if right.name else {}),
        }
        for right in OPERATOR
    ]
    await api.post(f"{rights}/roles", {"metadata": {"name": "operator"}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user.name}
    await api.post(f"{rights}/rolebindings", {"metadata": {"name": "operator"}, "subjects": [subject], "roleRef": role})
    await kube.until_may(user, Deed("list", "horizontalpodautoscalers", "autoscaling", here))
    await asleep(api, kube, here, "web", had=3, autoscaler={"type": "keda", "name": "web"})
    keda = scaled_object("web", target="web")
    keda["metadata"]["annotations"] = {PAUSED: "true", HELD: "0", "elasti.truefoundry.com/paused-by": "c1"}
    await kube.apply(keda, namespace=here)
    flags = ("--kubeconfig", cluster.kubeconfig(user), "--installed-in", here, "--watch-namespaces", here)

    code, out, err = await elasti("doctor", *flags)
    assert (code, err) == (0, ""), out
    assert "forbidden" not in out
    for words in (("freeze", "--why", "sale"), ("unfreeze", "--why", "over"), ("switches",)):
        code, out, err = await elasti(*words, *flags)
        assert code == 0, err
    code, out, err = await elasti("restore", "-n", here, *flags)
    assert (code, err) == (0, ""), out
    assert "1 woken, 0 left to do" in out
    assert await replicas(kube, here, "web") == 3


async def test_a_rehearsal_on_a_real_log(in_log: tuple[str, ...], kafka: EmbeddedKafka, prefix: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    publisher = KafkaPublisher(KafkaConnection(kafka.bootstrap))
    for action, ago in ((Action.ZERO, timedelta(hours=5)), (Action.UP, timedelta(hours=1))):
        read = Decision.model_validate(EXAMPLE)
        decision = read.model_copy(update={"action": action, "now": now - ago, "withheld": True, "command_id": None})
        place = partition_for("shop", "web", 3)
        await publisher.publish(Output(f"{prefix}{Topic.DECISIONS}", place, b"shop/web", decision.encode()))
    await publisher.close()
    code, out, err = await elasti("diff", "--json", *in_log)
    assert (code, err) == (0, "")
    (web,) = json.loads(out)["services"]
    assert (web["service"], web["wouldHaveSlept"], web["falseSleeps"], web["hoursAtZero"]) == ("shop/web", 1, 0, 4.0)
