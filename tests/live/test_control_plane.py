"""The control plane is a real Kubernetes, and nothing of it is left behind however its owner ends."""

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.adapters.control_plane import ControlPlane, ControlPlaneError
from tests.bed.kube import Deed, Kube, KubeError, Ref, ref
from tests.bed.manifests import (
    Manifest,
    autoscaler,
    deployment,
    rollout,
    scaled_object,
    service,
    statefulset,
    widget,
)
from tests.live.program import ended

# A program that owns a plane, says so, and waits to be ended.
OWNER = """
import asyncio
from consumer.adapters.control_plane import ControlPlane

async def main():
    async with ControlPlane() as plane:
        print(plane.home, *plane.pids.values(), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def words_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def those_who_name(folder: Path) -> list[int]:
    """Every process whose command line names the folder: the four servers and their guard."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if str(folder) in words_of(pid)]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def is_there(path: Path) -> bool:
    return path.exists()


def reading(namespace: str, user: str) -> list[Manifest]:
    """A Role that may read Deployments, bound to a user."""
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "reading", "namespace": namespace},
            "rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reading", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reading"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        },
    ]


async def said_by(plane: ControlPlane, program: str, *words: str) -> str:
    """What a program says with the administrator's kubeconfig."""
    process = await asyncio.create_subprocess_exec(
        plane.program(program),
        *("--kubeconfig", str(plane.kubeconfig())),
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_a_woken_deployment_gets_ready_and_has_endpoints(kube: Kube, namespace: str) -> None:
    web = ref(await kube.apply(deployment("web"), namespace))
    await kube.apply(service("web"), namespace)
    await kube.ready(web, 0)
    await kube.scale(web, 2)
    await kube.ready(web, 2)
    endpoints = await kube.until(Ref("v1", "Endpoints", namespace, "web"), lambda now: len(ready_addresses(now)) == 2)
    assert endpoints is not None
    await kube.scale(web, 0)
    await kube.ready(web, 0)


def ready_addresses(endpoints: Manifest | None) -> list[Manifest]:
    return [address for subset in (endpoints or {}).get("subsets", []) for address in subset.get("addresses", [])]


async def test_a_statefulset_gets_ready_too(kube: Kube, namespace: str) -> None:
    store = ref(await kube.apply(statefulset("store", 2), namespace))
    await kube.ready(store, 2)


async def test_pods_can_be_told_when_to_get_ready(kube: Kube, namespace: str) -> None:
    later = ref(await kube.apply(deployment("later", 1, ready_after=timedelta(seconds=1)), namespace))
    made = await kube.until(later, lambda now: now is not None and now.get("status", {}).get("replicas") == 1)
    assert made is not None
    assert "readyReplicas" not in made["status"]
    await kube.ready(later, 1)


async def test_pods_can_be_told_never_to_get_ready(kube: Kube, namespace: str) -> None:
    never = ref(await kube.apply(deployment("never", 1, never_ready=True), namespace))
    after = ref(await kube.apply(deployment("after", 1), namespace))
    await kube.until(never, lambda now: now is not None and now.get("status", {}).get("replicas") == 1)
    # The pods' simulator has seen the pod that waits, since one that came later is ready.
    await kube.ready(after, 1)
    assert "readyReplicas" not in (await kube.get(never))["status"]


async def test_a_user_without_rights_is_refused_and_one_with_a_role_is_not(
    cluster: ControlPlane, kube: Kube, namespace: str
) -> None:
    user = cluster.user(f"reader-{namespace}")
    web = ref(await kube.apply(deployment("web"), namespace))
    async with Kube(cluster, user) as theirs:
        with pytest.raises(KubeError, match="403") as refused:
            await theirs.get(web)
        assert refused.value.status == 403
        for manifest in reading(namespace, user.name):
            await kube.apply(manifest)
        await kube.until_may(user, Deed("get", "deployments", "apps", namespace))
        assert (await theirs.get(web))["spec"]["replicas"] == 0
        with pytest.raises(KubeError, match="403"):
            await theirs.scale(web, 1)


async def test_a_service_account_is_a_user_with_its_own_rights(
    cluster: ControlPlane, kube: Kube, namespace: str
) -> None:
    await kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "worker"}}, namespace)
    account = await cluster.service_account(namespace, "worker")
    async with Kube(cluster, account) as theirs:
        said = await theirs.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", WHO_AM_I)
    assert said["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:worker" == account.name
    assert set(account.groups) < set(said["status"]["userInfo"]["groups"])


WHO_AM_I = b'{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}'


@pytest.mark.parametrize(
    ("manifest", "replicas"),
    [(rollout("it", 3), {"replicas": 3}), (widget("it", 4), {"replicas": 4}), (widget("it"), {})],
)
async def test_other_kinds_can_be_scaled(kube: Kube, namespace: str, manifest: Manifest, replicas: Manifest) -> None:
    it = ref(await kube.apply(manifest, namespace))
    assert (await kube.get(it, subresource="scale"))["spec"] == replicas
    assert (await kube.scale(it, 1))["spec"] == {"replicas": 1}


async def test_those_who_scale_too_have_objects_here(kube: Kube, namespace: str) -> None:
    await kube.apply(deployment("web"), namespace)
    await kube.apply(autoscaler("web", target="web"), namespace)
    keda = await kube.apply(scaled_object("web", target="web"), namespace)
    assert keda["spec"]["scaleTargetRef"] == {"name": "web", "kind": "Deployment"}


async def test_the_audit_log_tells_who_asked_for_what(cluster: ControlPlane, kube: Kube, namespace: str) -> None:
    user = cluster.user(f"asking-{namespace}")
    web = ref(await kube.apply(deployment("web"), namespace))
    mark = cluster.audit_mark()
    async with Kube(cluster, user) as theirs:
        with pytest.raises(KubeError):
            await theirs.merge(web, {"spec": {"replicas": 1}}, subresource="scale")
    entries = [entry for entry in await cluster.audit(mark) if entry.user == user.name and entry.namespace]
    assert [(entry.verb, entry.resource, entry.subresource, entry.name, entry.code) for entry in entries] == [
        ("patch", "deployments", "scale", "web", 403)
    ]
    assert entries[0].writes
    assert not [entry for entry in await cluster.audit(cluster.audit_mark()) if entry.user == user.name]


async def test_a_watch_is_in_the_audit_log_while_it_lasts(cluster: ControlPlane, kube: Kube, namespace: str) -> None:
    web = ref(await kube.apply(deployment("web"), namespace))
    mark = cluster.audit_mark()
    async with aclosing(kube.states(web)) as states:
        await anext(states)
        changed = asyncio.ensure_future(anext(states))
        await kube.merge(web, {"metadata": {"labels": {"seen": "yes"}}})
        await changed
        entries = [entry for entry in await cluster.audit(mark) if entry.namespace == namespace]
    assert [entry.started for entry in entries if entry.verb == "watch"] == [True]


async def test_kubectl_and_helm_come_with_it(cluster: ControlPlane, namespace: str) -> None:
    assert await said_by(cluster, "kubectl", "version") == VERSIONS
    assert await said_by(cluster, "kubectl", "get", "namespace", namespace, "-o", "name") == f"namespace/{namespace}\n"
    assert (await said_by(cluster, "helm", "version", "--short")).startswith("v3.")


VERSIONS = "Client Version: v1.34.4\nKustomize Version: v5.7.1\nServer Version: v1.34.4\n"


async def test_a_person_can_run_one_and_paste_a_line_to_use_it(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "consumer.adapters.control_plane", "run"),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode().strip()
    shell = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", f"{line}; kubectl get nodes -o name"), stdout=asyncio.subprocess.PIPE
    )
    assert (await shell.communicate())[0] == b"node/bed\n"
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    assert names_in(tmp_path) == []


async def test_a_killed_api_server_restarts_on_the_same_address_with_its_data_and_controllers(
    own_cluster: ControlPlane,
) -> None:
    before = own_cluster.url
    async with Kube(own_cluster) as kube:
        web = ref(await kube.apply(deployment("web", 1), "default"))
        await kube.ready(web, 1)
        await own_cluster.kill()
        with pytest.raises(OSError, match="Cannot connect"):
            await kube.get(web)
        await own_cluster.restart()
        assert own_cluster.url == before
        await kube.ready(web, 1)
        await kube.scale(web, 3)
        await kube.ready(web, 3, within=60)


async def test_a_paused_api_server_answers_nothing_until_it_is_resumed(own_cluster: ControlPlane) -> None:
    async with Kube(own_cluster) as kube:
        own_cluster.pause()
        asked = asyncio.ensure_future(kube.call("GET", "/version"))
        done, _ = await asyncio.wait({asked}, timeout=1)
        assert not done
        own_cluster.resume()
        assert (await asked)["major"] == "1"


async def test_a_polite_stop_leaves_no_process_and_no_folder() -> None:
    async with ControlPlane() as plane:
        home = plane.home
        # Four servers and the guard.
        assert len(those_who_name(home)) >= 4
        assert all(words_of(pid) for pid in plane.pids.values())
        pids = list(plane.pids.values())
        plane.pause()
    assert not is_there(home)
    assert not those_who_name(home)
    assert not any(words_of(pid) for pid in pids)
    with pytest.raises(ControlPlaneError, match="not running"):
        plane.pause()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_an_owner_that_is_ended_leaves_no_process_and_no_folder(how: signal.Signals) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert owner.stdout is not None
    home, *pids = (await owner.stdout.readline()).decode().split()
    around = [*map(int, pids), *those_who_name(Path(home))]
    # As a terminal does it: the whole foreground group gets the signal.
    os.killpg(owner.pid, how)
    await owner.wait()
    for other in around:
        await ended(other)
    assert not is_there(Path(home))


# The moments fall into: before any process, while etcd starts, while the API server starts.
@pytest.mark.parametrize("after", [0.0, 0.1, 1.0])
async def test_a_start_that_is_cancelled_leaves_no_process_and_no_folder(
    after: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    task = asyncio.create_task(ControlPlane().start())
    await asyncio.wait({task}, timeout=after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names_in(tmp_path) == []
    assert those_who_name(tmp_path) == []
