"""Leaving for real: beside a handler that still runs, and in a namespace whose rights are deleted with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from consumer.adapters.control_plane import ControlPlane, User
from consumer.adapters.kubernetes.api import Access, Api, PatchKind
from consumer.core.service import OWN_MANAGER
from consumer.elastiservice import FINALIZER
from consumer.ports import TargetForbiddenError, TargetInvalidError
from tests.bed.fixtures import define, our_definitions
from tests.bed.kube import Deed, Kube, Ref, ref
from tests.bed.manifests import Manifest, deployment
from tests.k8s.manifests import K8S, objects, output
from tests.live.elastiservices import access_of, path, resource, until
from tests.live.program import LIMIT, elasti
from tests.live.test_kubernetes_handler import Stage

_TELLS = Deed("patch", "elastiservices", "elasti.truefoundry.com", "shop", "status")
_SHOP = Ref("v1", "Namespace", "", "shop")


def is_held(now: Manifest | None) -> bool:
    return now is not None and FINALIZER in now["metadata"].get("finalizers", ())


def is_leaving(now: Manifest | None) -> bool:
    return now is not None and "deletionTimestamp" in now["metadata"]


def is_gone(now: Manifest | None) -> bool:
    return now is None


@asynccontextmanager
async def handling(access: Access, kube: Kube, namespace: str) -> AsyncIterator[Stage]:
    """A handler that runs while the block does."""
    stage = Stage(access, kube, namespace)
    try:
        async with stage.running():
            yield stage
    finally:
        await stage.api.close()


async def test_a_handler_that_takes_its_finalizer_again_after_a_restore_is_seen(
    cluster: ControlPlane, admin: Access, kube: Kube, namespace: str
) -> None:
    web = ref(await kube.apply(deployment("web", 1), namespace))
    await kube.scale(web, 0, manager=OWN_MANAGER)
    await kube.apply(resource("web"), namespace)
    flags = ("-n", namespace, "--kubeconfig", cluster.kubeconfig(), "--installed-in", namespace)
    async with handling(admin, kube, namespace) as stage:
        await kube.until(stage.policy, is_held)
        code, out, err = await elasti("restore", *flags)
        assert (code, err) == (1, ""), out
        assert f"{namespace}/web: our finalizer is on it again, by a handler that runs" in out
        assert "1 woken, 0 left to do, 1 held again" in out
        await kube.ready(stage.workload, 1)
    code, out, err = await elasti("restore", *flags)
    assert (code, err) == (0, ""), out
    assert "0 woken, 0 left to do, 0 held again" in out
    assert not is_held(await kube.get(stage.policy))


@dataclass(frozen=True, slots=True)
class Shop:
    """A cluster where the handler has rights in the namespace `shop` alone, by the manifests of that overlay."""

    plane: ControlPlane
    kube: Kube
    handler: User

    @property
    def access(self) -> Access:
        return access_of(self.plane, self.handler)

    async def kubectl(self, *words: str | Path) -> None:
        """As an administrator."""
        await output(self.plane.program("kubectl"), "--kubeconfig", self.plane.kubeconfig(), *words)

    async def make(self, namespace: str) -> Ref:
        """A service that sleeps."""
        await self.kube.apply(deployment("web"), namespace)
        return ref(await self.kube.apply(resource("web"), namespace))

    async def revoke(self) -> None:
        """The order of a namespace's end that is worst for us: what was bound in it goes before anything else."""
        await self.kubectl("-n", "shop", "delete", "rolebindings", "--all")
        await self.kube.until_may(self.handler, _TELLS, allowed=False)


@pytest.fixture
async def shop(own_cluster: ControlPlane) -> AsyncIterator[Shop]:
    async with Kube(own_cluster) as kube:
        await define(kube, our_definitions())
        for name in ("elasti", "shop", "bank"):
            await kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for account in objects(K8S / "workloads/accounts.yaml"):
            await kube.apply(account)
        made = Shop(own_cluster, kube, await own_cluster.service_account("elasti", "elasti-handler"))
        await made.kubectl("apply", "-k", K8S / "overlays/namespaced/shop")
        await kube.until_may(made.handler, _TELLS)
        yield made


@pytest.fixture
async def letting_go(shop: Shop) -> Shop:
    """The same with the right that outlives a namespace."""
    await shop.kubectl("apply", "-k", K8S / "rights/letting-go")
    await shop.kube.until_may(shop.handler, Deed("get", "namespaces"))
    return shop


@pytest.mark.parametrize("revoked", [False, True], ids=["at once", "its rights first"])
async def test_a_namespace_that_is_deleted_is_let_go_without_the_rights_that_were_given_in_it(
    letting_go: Shop, *, revoked: bool
) -> None:
    shop = letting_go
    web = await shop.make("shop")
    async with handling(shop.access, shop.kube, "shop"):
        await shop.kube.until(web, is_held)
        if revoked:
            await shop.revoke()
        await shop.kube.delete(_SHOP)
        await shop.kube.until(_SHOP, is_gone, within=LIMIT)


async def test_a_handler_that_starts_when_the_rights_are_gone_lets_go_too(letting_go: Shop) -> None:
    shop = letting_go
    web = await shop.make("shop")
    await shop.kube.merge(web, {"metadata": {"finalizers": [FINALIZER]}})
    await shop.revoke()
    await shop.kube.delete(_SHOP)
    await shop.kube.until(web, is_leaving)
    async with handling(shop.access, shop.kube, "shop"):
        await shop.kube.until(_SHOP, is_gone, within=LIMIT)


async def test_the_right_that_outlives_a_namespace_is_one_to_let_go_and_no_other(letting_go: Shop) -> None:
    shop = letting_go
    await shop.make("shop")
    await shop.make("bank")
    api = Api(shop.access)
    try:
        await until(lambda: is_refused(api, "bank", {"metadata": {"finalizers": [FINALIZER]}}))
        for change in ({"spec": {"minTargetReplicas": 5}}, {"metadata": {"labels": {"ours": "now"}}}):
            assert await is_refused(api, "bank", change)
        with pytest.raises(TargetForbiddenError):
            await api.patch(f"{path('bank', 'web')}/status", {"status": {"replicas": 1}}, PatchKind.MERGE)
        # In its own namespace it holds what is not being deleted yet.
        assert not await is_refused(api, "shop", {"metadata": {"finalizers": [FINALIZER]}})
        # What is being deleted elsewhere may be let go, and not changed.
        bank = Ref("elasti.truefoundry.com/v1alpha1", "ElastiService", "bank", "web")
        await shop.kube.merge(bank, {"metadata": {"finalizers": [FINALIZER]}})
        await shop.kube.delete(bank)
        assert await is_refused(api, "bank", {"spec": {"minTargetReplicas": 5}})
        assert not await is_refused(api, "bank", {"metadata": {"finalizers": []}})
        await shop.kube.until(bank, is_gone)
    finally:
        await api.close()


async def is_refused(api: Api, namespace: str, change: object) -> bool:
    """Whether the ElastiService there may not be changed like this."""
    try:
        await api.patch(path(namespace, "web"), change, PatchKind.MERGE)
    except (TargetForbiddenError, TargetInvalidError) as refused:
        assert "no rights in this namespace but to let go" in str(refused)  # noqa: PT017 - refused for nothing else
        return True
    return False


async def test_an_administrator_frees_a_namespace_in_which_nobody_has_rights_any_more(shop: Shop) -> None:
    web = await shop.make("shop")
    async with handling(shop.access, shop.kube, "shop"):
        await shop.kube.until(web, is_held)
        await shop.revoke()
        await shop.kube.delete(_SHOP)
        await shop.kube.until(web, is_leaving)
        code, out, err = await elasti("restore", "-n", "shop", "--kubeconfig", shop.plane.kubeconfig())
        assert (code, err) == (0, ""), out
        assert "took our finalizer off" in out
        await shop.kube.until(_SHOP, is_gone, within=LIMIT)
