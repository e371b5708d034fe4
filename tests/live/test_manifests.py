"""The manifests on a real API server: rendered twice alike, applied whole, admitted as restricted pods."""

import json
import re
from collections.abc import AsyncIterator
from itertools import combinations
from pathlib import Path

import pytest

from consumer.adapters.control_plane import ControlPlane, User
from tests.bed.kube import Deed, Kube, ref
from tests.bed.manifests import NODE, Manifest, deployment
from tests.k8s.manifests import CHART, K8S, output, rendered
from tests.live.elastiservices import resource

INSTALLS = ["base", *sorted(f"overlays/{each.name}" for each in (K8S / "overlays").iterdir())]
# What people install beside us, and the bed does not have.
SERVICE_MONITORS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com",
        "scope": "Namespaced",
        "names": {"kind": "ServiceMonitor", "plural": "servicemonitors", "singular": "servicemonitor"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
# The bed has no scheduler: a pod says itself where it is.
_SOMEWHERE = f"""
  - target: {{kind: (Deployment|StatefulSet|Job)}}
    patch: |-
      - {{op: add, path: /spec/template/spec/nodeName, value: {NODE}}}
"""


class Cluster:
    """A control plane of the test's own, and kubectl on it."""

    def __init__(self, plane: ControlPlane, kube: Kube, folder: Path) -> None:
        self.plane, self.kube, self.folder = plane, kube, folder

    async def kubectl(self, *arguments: str | Path) -> str:
        return await output(self.plane.program("kubectl"), "--kubeconfig", self.plane.kubeconfig(), *arguments)

    async def apply(self, install: str) -> list[Manifest]:
        """Apply it as written, once its definitions are known, with a node for its pods."""
        await self.kubectl("apply", "--server-side", "-k", K8S / "crd")
        await self.kubectl("wait", "--for=condition=Established", "crd/elastiservices.elasti.truefoundry.com")
        here = self.folder / install.replace("/", "-")
        here.mkdir()
        # Absolute resources are refused, so the way to it is told from here.
        up = "/".join([".."] * (len(here.resolve().parts) - 1))
        content = f"resources: [{up}{K8S.resolve() / install}]\npatches:{_SOMEWHERE}"
        (here / "kustomization.yaml").write_text(content)
        await self.kubectl("apply", "--server-side", "-k", here)
        return await rendered(self.plane.program("kubectl"), "kustomize", here)


@pytest.fixture
async def place(own_cluster: ControlPlane, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Kube(own_cluster) as kube:
        yield Cluster(own_cluster, kube, tmp_path)


@pytest.mark.parametrize("install", INSTALLS)
async def test_every_installation_is_taken_and_all_its_pods_run(place: Cluster, install: str) -> None:
    await place.kube.apply(SERVICE_MONITORS)
    await place.kube.until(ref(SERVICE_MONITORS), is_established)
    for name in ("shop", "elasti"):
        # Of a dry run nothing is there for what comes after it.
        await place.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await place.kubectl("apply", "--server-side", "-k", K8S / "crd")
    await place.kubectl("wait", "--for=condition=Established", "crd/elastiservices.elasti.truefoundry.com")
    await place.kubectl("apply", "--server-side", "--dry-run=server", "-k", K8S / install)
    manifests = await place.apply(install)
    for each in manifests:
        assert await place.kube.get(ref(each))
        if each["kind"] in {"Deployment", "StatefulSet"}:
            await place.kube.ready(ref(each), each["spec"].get("replicas", 1))
    # Applied again, nothing is another: what people keep in git stays quiet.
    assert not await place.kubectl("diff", "--server-side", "-k", place.folder / install.replace("/", "-"))


async def test_the_namespace_refuses_whatever_is_not_restricted(place: Cluster) -> None:
    await place.apply("base")
    loose = deployment("loose", 1)
    await place.kube.apply(loose, "elasti")
    refused = await place.kube.until(ref(loose, "elasti"), lambda now: "violates PodSecurity" in json.dumps(now))
    assert refused


async def test_the_chart_renders_the_very_objects_of_the_manifests(place: Cluster) -> None:
    for install, values in {
        "base": (),
        "overlays/observe": ("--set", "mode=observe"),
        "overlays/namespaced": ("--set", "watchNamespaces={shop}"),
    }.items():
        chart = await rendered(
            place.plane.program("helm"), "template", "elasti", CHART, "-n", "elasti", "--include-crds", *values
        )
        manifests = await rendered(place.plane.program("kubectl"), "kustomize", K8S / install)
        # Helm makes the namespace itself; docs/howto-install.md says how to label it.
        assert comparable(chart) == {key: each for key, each in comparable(manifests).items() if key[0] != "Namespace"}


async def test_there_may_be_a_release_in_each_of_several_namespaces(place: Cluster) -> None:
    releases = []
    for name, first in (("elasti", "true"), ("shop", "false"), ("bank", "false")):
        values = ("--set", f"watchNamespaces={{{name}}}", "--set", f"admission={first}")
        release = await rendered(place.plane.program("helm"), "template", "elasti", CHART, "-n", name, *values)
        releases.append(set(comparable(release)))
        policies = {each["metadata"]["name"] for each in release if each["kind"] == "ValidatingAdmissionPolicy"}
        bound = {each["spec"]["policyName"] for each in release if each["kind"] == "ValidatingAdmissionPolicyBinding"}
        assert bound == policies
        roles = {each["metadata"]["name"] for each in release if each["kind"] == "ClusterRole"}
        (binding,) = (each for each in release if each["kind"] == "ClusterRoleBinding")
        assert {binding["roleRef"]["name"]} == roles
        assert [subject["namespace"] for subject in binding["subjects"]] == [name]
    # What two of them would both own, Helm refuses to install.
    for one, other in combinations(releases, 2):
        assert not one & other


async def test_who_only_observes_may_change_nothing_but_what_is_its_own(place: Cluster) -> None:
    await place.apply("overlays/observe")
    handler = await place.plane.service_account("elasti", "elasti-handler")
    await place.kube.until_may(handler, Deed("patch", "elastiservices", "elasti.truefoundry.com", "shop"))
    allowed = {
        (group, resource, verb)
        for group, resource in await resources_of(place)
        for verb in ("create", "update", "patch", "delete", "deletecollection")
        if await may(place, handler, Deed(verb, resource.partition("/")[0], group, "shop", resource.partition("/")[2]))
    }
    assert allowed == {
        ("elasti.truefoundry.com", "elastiservices", "patch"),
        ("elasti.truefoundry.com", "elastiservices/status", "patch"),
        ("", "events", "create"),
        ("", "events", "patch"),
    }


async def test_rights_in_some_namespaces_are_none_in_the_others(place: Cluster) -> None:
    await place.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    await place.apply("overlays/namespaced")
    handler = await place.plane.service_account("elasti", "elasti-handler")
    scale = Deed("patch", "deployments", "apps", "shop", "scale")
    await place.kube.until_may(handler, scale)
    elsewhere = {
        (group, resource, verb)
        for group, resource in await resources_of(place)
        for verb in ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
        if await may(place, handler, Deed(verb, resource.partition("/")[0], group, "bank", resource.partition("/")[2]))
    }
    # To let go of what is being deleted, which an admission keeps it to (test_leaving.py).
    assert elsewhere == {
        ("", "namespaces", "get"),
        *(("elasti.truefoundry.com", "elastiservices", verb) for verb in ("get", "list", "watch", "patch")),
    }
    for component in ("worker", "gateway"):
        reader = await place.plane.service_account("elasti", f"elasti-{component}")
        assert not await may(place, reader, Deed("list", "elastiservices", "elasti.truefoundry.com"))
        assert await may(place, reader, Deed("list", "elastiservices", "elasti.truefoundry.com", "shop"))


async def test_kubeelasti_loses_its_rights_to_scale_by_the_patch_and_has_them_again_by_the_undo(place: Cluster) -> None:
    theirs = K8S / "overlays/beside-kubeelasti/recipe"
    await place.kubectl("apply", "--server-side", "-f", Path(__file__).parent / "kubeelasti_rights.yaml")
    await place.apply("overlays/beside-kubeelasti")
    operator = await place.plane.service_account("kubeelasti", "elasti-operator-controller-manager")
    role = "clusterrole/elasti-operator-additional-access"
    switching = Deed("patch", "endpointslices", "discovery.k8s.io", "shop")
    scaling = [
        Deed("patch", "deployments", "apps", "shop", "scale"),
        Deed("update", "statefulsets", "apps", "shop", "scale"),
        Deed("patch", "scaledobjects", "keda.sh", "shop"),
        Deed("update", "rollouts", "argoproj.io", "shop"),
    ]
    for file, allowed in (("revoke.json", False), ("give-back.json", True)):
        await place.kubectl("patch", role, "--type=json", "--patch-file", theirs / file)
        for deed in scaling:
            await place.kube.until_may(operator, deed, allowed=allowed)
        assert await may(place, operator, switching)
        assert await may(place, operator, Deed("get", "deployments", "apps", "shop", "scale"))


async def test_the_first_resource_is_taken_and_listed_as_the_walkthrough_says(place: Cluster) -> None:
    await place.apply("overlays/all-in-one")
    assert re.search(r"^web\s", await place.kubectl("get", "elastiservices", "-n", "shop"), re.MULTILINE)
    assert await place.kube.apply({**resource("other")}, "shop")


def is_established(definition: Manifest | None) -> bool:
    conditions = (definition or {}).get("status", {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def comparable(manifests: list[Manifest]) -> dict[tuple[str, str, str], Manifest]:
    """The objects by what they are; the settings' name tells their content, in each tool by a hash of its own."""
    text = re.sub(r"elasti-settings-[a-z0-9]{10}", "elasti-settings", json.dumps(manifests))
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in json.loads(text)
    }


async def resources_of(place: Cluster) -> list[tuple[str, str]]:
    """Every resource and subresource that the API serves, with its group."""
    groups = (await place.kube.call("GET", "/apis"))["groups"]
    roots = {version["groupVersion"]: f"/apis/{version['groupVersion']}" for g in groups for version in g["versions"]}
    return sorted(
        {
            (api.rpartition("/")[0], each["name"])
            for api, root in {"v1": "/api/v1", **roots}.items()
            for each in (await place.kube.call("GET", root))["resources"]
        }
    )


async def may(place: Cluster, user: User, deed: Deed) -> bool:
    """Whether RBAC allows it now."""
    asked = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user.name,
            "groups": list(user.groups),
            "resourceAttributes": {
                "verb": deed.verb,
                "group": deed.group,
                "resource": deed.resource,
                "subresource": deed.subresource,
                "namespace": deed.namespace,
            },
        },
    }
    said = await place.kube.call(
        "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", json.dumps(asked).encode()
    )
    return bool(said["status"]["allowed"])
