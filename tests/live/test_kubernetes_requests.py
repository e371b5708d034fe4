"""What a wake, a sleep and standing still ask of a real API server, by its own audit log."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.kubernetes.api import Access
from consumer.core.service import ServiceKey, TargetRef
from consumer.ports import TargetKey
from schemas.scale_result import Phase
from tests.bed.kube import Deed, Kube, Ref
from tests.bed.manifests import deployment
from tests.handler.samples import up, zero
from tests.live.handling import handling
from tests.live.test_kubernetes_bad_days import always, rights

MANY = 20


async def asked(cluster: ControlPlane, mark: int, user: str) -> Sequence[str]:
    """Everything that one user asked for since then; watches are counted elsewhere."""
    entries = await cluster.audit(mark)
    return [
        f"{one.verb} {one.resource}/{one.subresource}" for one in entries if one.user == user and one.verb != "watch"
    ]


async def test_a_wake_and_a_sleep_are_one_request_each_and_standing_still_is_none(
    cluster: ControlPlane, kube: Kube, admin: Access, namespace: str
) -> None:
    user = cluster.user(f"requests-{namespace}")
    for manifest in rights(namespace, user.name):
        await kube.apply(manifest)
    await kube.until_may(user, Deed("patch", "deployments", "apps", namespace, "scale"))
    keys = [ServiceKey(namespace, f"web-{index}") for index in range(MANY)]
    for key in keys:
        await kube.apply(deployment(key.name), namespace)
    targets = [TargetKey(namespace, TargetRef("apps/v1", "Deployment", key.name)) for key in keys]
    async with handling(replace(admin, token=always(user.token)), *keys) as bench:
        mark = cluster.audit_mark()
        wakes = [up(index, key=key) for index, key in enumerate(keys, 1)]
        bench.command(*wakes)
        answers = await asyncio.gather(*map(bench.answer, wakes))
        assert {answer.phase for answer in answers} == {Phase.ACCEPTED}
        for target in targets:
            await bench.seen(target, lambda view: view is not None and view.ready == 1)
        assert await asked(cluster, mark, user.name) == ["patch deployments/scale"] * MANY
        mark = cluster.audit_mark()
        sleeps = [
            zero(index, bench.views[target], key=key)
            for index, (key, target) in enumerate(zip(keys, targets, strict=True), 1 + MANY)
        ]
        bench.command(*sleeps)
        answers = await asyncio.gather(*map(bench.answer, sleeps))
        assert {answer.phase for answer in answers} == {Phase.ACCEPTED}
        for target in targets:
            await bench.seen(target, lambda view: view is not None and view.replicas == view.ready == 0)
        assert await asked(cluster, mark, user.name) == ["patch deployments/scale"] * MANY
        mark = cluster.audit_mark()
        await kube.scale(Ref("apps/v1", "Deployment", namespace, keys[0].name), 1)
        await bench.seen(targets[0], lambda view: view is not None and view.ready == 1)
        assert await asked(cluster, mark, user.name) == []
