"""A HorizontalPodAutoscaler and its own controller beside us: neither undoes what the other does."""

from collections.abc import Callable

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.kubernetes.api import Access
from consumer.core.service import ServiceKey, TargetRef
from consumer.ports import TargetKey, TargetView
from schemas.scale_result import Phase
from tests.bed.kube import Kube, ref
from tests.bed.manifests import Manifest, autoscaler, deployment
from tests.handler.samples import up, zero
from tests.live.handling import handling

LEAST = 2
MOST = 5


def settled_at(replicas: int) -> Callable[[TargetView | None], bool]:
    return lambda view: view is not None and view.replicas == view.ready == replicas


def reasons(hpa: Manifest) -> set[str]:
    return {each["reason"] for each in hpa.get("status", {}).get("conditions") or []}


async def test_an_autoscaler_raises_what_we_woke_and_leaves_what_we_put_to_sleep(
    cluster: ControlPlane, kube: Kube, admin: Access, namespace: str
) -> None:
    key = ServiceKey(namespace, "web")
    target = TargetKey(namespace, TargetRef("apps/v1", "Deployment", "web"))
    await kube.apply(deployment("web"), namespace)
    hpa = autoscaler("web", target="web", most=MOST)
    hpa["spec"]["minReplicas"] = LEAST
    await kube.apply(hpa, namespace)
    async with handling(admin, key) as bench:
        bench.command(first := up(1, key=key))
        assert (await bench.answer(first)).phase is Phase.ACCEPTED
        # The controller wants at least two, and nobody takes that back.
        await bench.seen(target, settled_at(LEAST))
        assert bench.views[target].manager == "kube-controller-manager"
        bench.command(again := up(2, key=key))
        assert (await bench.answer(again)).phase is Phase.UNCHANGED
        asleep = zero(3, await bench.targets.look(target), key=key)
        bench.command(asleep)
        assert (await bench.answer(asleep)).phase is Phase.ACCEPTED
        # At zero the controller stands aside: that it looked, and left it, it says itself.
        await kube.until(
            ref(hpa, namespace), lambda seen: seen is not None and "ScalingDisabled" in reasons(seen), within=60
        )
        assert (await bench.targets.look(target)).replicas == 0
        mark = cluster.audit_mark()
        bench.command(woken := up(4, key=key))
        assert (await bench.answer(woken)).phase is Phase.ACCEPTED
        await bench.seen(target, settled_at(LEAST))
        scaled = [one for one in await cluster.audit(mark) if one.namespace == namespace and one.subresource == "scale"]
        assert len(scaled) == 1
