"""The handler on a real API server: KEDA beside sleeps and wakes, Events, status, finalizers, and silence else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.autoscalers import KubernetesAutoscalers
from consumer.adapters.kubernetes.notices import KubernetesNotices
from consumer.adapters.kubernetes.policies import KubernetesPolicies
from consumer.adapters.kubernetes.resources import KubernetesResources
from consumer.adapters.kubernetes.switches import KubernetesSwitches
from consumer.adapters.kubernetes.targets import Field, KubernetesTargets
from consumer.adapters.kubernetes.watching import Watching
from consumer.core.outcome import Command
from consumer.core.reasons import Code
from consumer.core.service import Autoscaler, ServiceKey, TargetRef
from consumer.elastiservice import FINALIZER
from consumer.handler.scale_handler import ScaleHandler
from consumer.handler.wiring import HandlerPorts, HandlerSettings
from consumer.ports import AutoscalerKey, Change, TargetKey
from schemas.parts import KnownTarget, Reason
from schemas.service_status import ServiceStatus
from schemas.topics import Topic
from tests.bed.kube import Kube, KubeError, Ref
from tests.bed.manifests import deployment, scaled_object
from tests.handler.bed import Bed
from tests.handler.samples import HOWEVER_LATE, up, zero
from tests.live.elastiservices import following, resource

WEB = TargetRef("apps/v1", "Deployment", "web")
PAUSES = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas", "elasti.truefoundry.com/paused-by")
LIMIT = 30


class Stage:
    """One installation in a namespace: a real cluster, and a log in memory that can be away."""

    def __init__(self, access: Access, kube: Kube, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.key = ServiceKey(namespace, "web")
        self.target = TargetKey(namespace, WEB)
        self.policy = Ref("elasti.truefoundry.com/v1alpha1", "ElastiService", namespace, "web")
        self.workload = Ref("apps/v1", "Deployment", namespace, "web")
        self.scaler = Ref("keda.sh/v1alpha1", "ScaledObject", namespace, "web")
        self.bed = Bed(HandlerSettings(zero_within=HOWEVER_LATE), BrokerClock())
        self.api = Api(access)
        self._access = access
        self._seq = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run a handler on real adapters, and stop it politely."""
        async with AsyncExitStack() as stack:
            policies = await stack.enter_async_context(following(self._access, self.namespace))
            watching = Watching(self.api, self.bed.time, chance)
            targets = KubernetesTargets(self.api, watching, self.bed.time, Field((self.namespace,)))
            targets.include([WEB])
            handler = ScaleHandler(self._ports(targets, policies, watching), self.bed.settings)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            picture = tasks.create_task(targets.run())
            work = tasks.create_task(handler.run())
            yield
            await handler.stop()
            await work
            picture.cancel()

    def _ports(self, targets: KubernetesTargets, policies: KubernetesPolicies, watching: Watching) -> HandlerPorts:
        self.targets = targets
        return replace(
            self.bed.ports(),
            targets=targets,
            policies=policies,
            autoscalers=KubernetesAutoscalers(self.api),
            notices=KubernetesNotices(self.api),
            resources=KubernetesResources(self.api, policies, self.bed.time),
            switches=KubernetesSwitches(self.api, watching, self.namespace, "default"),
        )

    async def command(self, command: Command) -> str:
        """Send a command as it is for a service with an autoscaler, and return its id."""
        self._seq += 1
        sent = replace(command, autoscaler=Autoscaler("keda", "web"), id=f"c{self._seq}", seq=self._seq)
        self.bed.command(sent)
        return sent.id

    async def sleep(self) -> str:
        """Send a zero for the target as it is."""
        return await self.command(zero(1, await self.targets.look(self.target), key=self.key))

    def judged(self, code: Code, message: str = "because") -> None:
        """The worker judges the service so."""
        status = ServiceStatus(
            cluster="default",
            namespace=self.namespace,
            service="web",
            target=KnownTarget(api_version="apps/v1", kind="Deployment", name="web"),
            reason=Reason(code=code.value, message=message),
            since=self.bed.time.read().now,
        )
        self.bed.write(Topic.SERVICE_STATUS, self.key, status.encode())

    async def status(self) -> Mapping[str, Any]:
        content: Mapping[str, Any] = (await self.kube.get(self.policy)).get("status") or {}
        return content

    async def pauses(self) -> tuple[object, ...]:
        """What the ScaledObject's annotations say of pauses."""
        notes = (await self.kube.get(self.scaler))["metadata"].get("annotations") or {}
        return tuple(notes.get(name) for name in PAUSES)

    async def events(self, kind: str) -> list[tuple[str, str]]:
        """Reason and message of our Events on the object of this kind, if they are really about that one."""
        objects = {"ElastiService": self.policy, "Deployment": self.workload}
        uid = (await self.kube.get(objects[kind]))["metadata"]["uid"]
        match await self.api.get(f"/api/v1/namespaces/{self.namespace}/events"):
            case {"items": list(items)}:
                about = [item for item in items if item["involvedObject"].get("uid") == uid]
                return [(item["reason"], item["message"]) for item in about if item["reportingComponent"] == "elasti"]
            case other:
                raise AssertionError(other)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what lies in the server."""
    async with asyncio.timeout(LIMIT):
        while not await holds():  # noqa: ASYNC110 - what is waited for lies in the server
            await asyncio.sleep(0.05)


def condition(status: Mapping[str, Any], kind: str) -> tuple[str, str]:
    found = (one for one in status.get("conditions", ()) if one["type"] == kind)
    return next(((one["status"], one["reason"]) for one in found), ("", ""))


@pytest.fixture
async def stage(admin: Access, kube: Kube, namespace: str) -> AsyncIterator[Stage]:
    stage = Stage(admin, kube, namespace)
    await kube.apply(deployment("web", 2), namespace)
    await kube.apply(scaled_object("web", target="web"), namespace)
    yield stage
    await stage.api.close()


async def declare(stage: Stage, *, held: bool = False) -> None:
    """Somebody applies the policy."""
    content = resource("web", autoscaler={"type": "keda", "name": "web"})
    if held:
        content["metadata"] = {"name": "web", "finalizers": [FINALIZER]}
    await stage.kube.apply(content, stage.namespace)


async def release(stage: Stage) -> None:
    """Delete the policy, and wait until nothing is left of it."""
    await stage.kube.delete(stage.policy)

    async def gone() -> bool:
        try:
            await stage.kube.get(stage.policy)
        except KubeError:
            return True
        return False

    await until(gone)


async def replicas(stage: Stage) -> int:
    return int((await stage.kube.get(stage.workload))["spec"].get("replicas", 0))


async def test_a_service_sleeps_and_wakes_with_its_scaled_object_and_people_can_read_why(stage: Stage) -> None:
    await declare(stage)
    async with stage.running():

        async def is_up() -> bool:
            status = await stage.status()
            return condition(status, "Active") == ("True", "Awake") and status.get("replicas") == 2

        async def is_asleep() -> bool:
            return condition(await stage.status(), "Active") == ("False", "Asleep")

        await until(is_up)
        assert FINALIZER in (await stage.kube.get(stage.policy))["metadata"]["finalizers"]
        sleep = await stage.sleep()
        await until(is_asleep)
        assert await replicas(stage) == 0
        assert (await stage.status())["previousReplicas"] == 2

        async def is_held() -> bool:
            return await stage.pauses() == ("true", "0", sleep)

        await until(is_held)
        await stage.command(up(1, replicas=2, key=stage.key))
        await until(is_up)

        async def runs() -> bool:
            return await stage.pauses() == (None, None, None)

        await until(runs)

        async def told() -> bool:
            return len(await stage.events("ElastiService")) == len(await stage.events("Deployment")) == 2

        await until(told)
        (slept, woke) = sorted(await stage.events("ElastiService"), key=lambda event: event[1])
        assert slept[1].startswith("Successfully scaled 0 replicas for Deployment/web: ")
        assert woke[1].startswith("Successfully scaled 2 replicas for Deployment/web: ")
        assert {slept[0], woke[0]} == {"SuccessToScale"}
        await release(stage)


async def test_a_deleted_policy_is_given_back_as_it_was_while_the_log_is_away(stage: Stage) -> None:
    await declare(stage, held=True)
    autoscalers = KubernetesAutoscalers(stage.api)
    scaler = AutoscalerKey(stage.namespace, "web")
    stage.bed.publisher.away = True
    stage.bed.reader_fails(Topic.CONTROL, times=1_000_000)
    await stage.kube.merge(stage.policy, {"status": {"previousReplicas": 2}}, subresource="status")
    async with stage.running():
        # A handler that is gone by now put it to sleep.
        await autoscalers.pause(scaler, "c1")
        await stage.targets.scale(stage.target, Change(expected=2, wanted=0))
        await autoscalers.pin(scaler, "c1")
        await release(stage)
        assert await replicas(stage) == 2
        assert await stage.pauses() == (None, None, None)


async def test_a_policy_that_was_deleted_while_nobody_ran_is_given_back_by_who_starts(stage: Stage) -> None:
    await declare(stage, held=True)
    await stage.kube.merge(stage.policy, {"status": {"previousReplicas": 2}}, subresource="status")
    async with stage.running():
        await stage.targets.scale(stage.target, Change(expected=2, wanted=0))
    await stage.kube.delete(stage.policy)
    async with stage.running():
        await release(stage)
    assert await replicas(stage) == 2


async def test_a_steady_service_causes_no_write_whatever_its_traffic(stage: Stage, cluster: ControlPlane) -> None:
    await declare(stage)
    async with stage.running():
        stage.judged(Code.RECENT_TRAFFIC)

        async def shown() -> bool:
            return "lastDecision" in await stage.status()

        await until(shown)
        ends = cluster.audit_mark()
        for second in range(12):
            stage.judged(Code.RECENT_TRAFFIC, f"a request came in second {second}")
            await asyncio.sleep(1)
        ours = [entry for entry in await cluster.audit(ends) if entry.namespace == stage.namespace and entry.writes]
        assert ours == []
        await release(stage)
