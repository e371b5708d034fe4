"""A single look at what stands in a cluster: ElastiServices, autoscalers of others, the definition, the time."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from consumer.adapters.kubernetes.api import Api
from consumer.core.policy import Policy
from consumer.core.service import TargetRef
from consumer.elastiservice import API_VERSION, FINALIZER, GROUP, KUBEELASTI_FINALIZER, PLURAL, policy_from
from consumer.ports import (
    AutoscalerKey,
    Definition,
    ForeignScaler,
    Holding,
    ResourceRef,
    TargetForbiddenError,
    TargetGoneError,
    TargetInvalidError,
    TargetKey,
    TriggerCheck,
)

_PAGE: Final = "500"
_HPA: Final = "autoscaling/v2", "horizontalpodautoscalers"
_KEDA: Final = "keda.sh/v1alpha1", "scaledobjects"
_LEGACY: Final = {"deployments": "Deployment", "rollouts": "Rollout"}
_Object = Mapping[str, object]


class KubernetesSurvey:
    """Implements `ports.Survey`: reads once, in pages, in the whole cluster or in these namespaces only."""

    def __init__(
        self, api: Api, check: TriggerCheck, namespaces: Sequence[str] = (), *, beside_kubeelasti: bool = False
    ) -> None:
        self._api = api
        self._check = check
        self._namespaces = tuple(namespaces)
        self._ours = frozenset({FINALIZER} if beside_kubeelasti else {FINALIZER, KUBEELASTI_FINALIZER})

    async def holdings(self) -> Sequence[Holding]:
        """Return every ElastiService that we may see; none where the API does not know what that is."""
        return [self._holding(item) async for item in self._items(API_VERSION, PLURAL)]

    async def scalers(self) -> Sequence[ForeignScaler]:
        """Return every HPA and ScaledObject; those of an API that knows none of them are none."""
        hpas = [_scaler("hpa", item) async for item in self._items(*_HPA)]
        kedas = [_scaler("keda", item) async for item in self._items(*_KEDA)]
        return [scaler for scaler in (*hpas, *kedas) if scaler is not None]

    async def definition(self) -> Definition | None:
        """Return the definition of ElastiServices; None when the API has none."""
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{GROUP}"
        try:
            content = await self._api.get(path)
        except TargetGoneError:
            return None
        except TargetForbiddenError:
            return await self._discovered()
        versions = _list(_at(content, "spec", "versions"))
        served = tuple(str(_at(version, "name")) for version in versions if _at(version, "served"))
        fields = [
            _at(version, "schema", "openAPIV3Schema", "properties", "spec", "properties")
            for version in versions
            if _at(version, "served")
        ]
        return Definition(served, frozenset(name for known in fields if isinstance(known, dict) for name in known))

    async def _discovered(self) -> Definition | None:
        """Return what everyone may see of it: that it is served."""
        try:
            content = await self._api.get(f"/apis/{GROUP}")
        except TargetGoneError:
            return None
        return Definition(tuple(str(_at(version, "version")) for version in _list(_at(content, "versions"))), None)

    async def time(self) -> datetime:
        """Return what the API server takes for the present time, to the second."""
        return await self._api.time()

    def _holding(self, item: _Object) -> Holding:
        namespace, name = _text(_at(item, "metadata", "namespace")), _text(_at(item, "metadata", "name"))
        uid = _text(_at(item, "metadata", "uid"))
        if not (namespace and name and uid):
            raise TargetInvalidError("the API listed something that is no object")
        resource = ResourceRef(namespace, name, uid)
        policy = policy_from(item, where=f"ElastiService {resource}", check=self._check)
        autoscaler = _text(_at(item, "spec", "autoscaler", "name"))
        keda = _at(item, "spec", "autoscaler", "type") == "keda"
        return Holding(
            resource=resource,
            service=_text(_at(item, "spec", "service")),
            target=_target(namespace, _at(item, "spec", "scaleTargetRef")),
            min_replicas=_whole(_at(item, "spec", "minTargetReplicas")) or 1,
            previous_replicas=_whole(_at(item, "status", "previousReplicas")),
            autoscaler=AutoscalerKey(namespace, autoscaler) if autoscaler and keda else None,
            held=bool(self._ours.intersection(map(str, _list(_at(item, "metadata", "finalizers"))))),
            leaving=_at(item, "metadata", "deletionTimestamp") is not None,
            policy=policy if isinstance(policy, Policy) else None,
            problems=() if isinstance(policy, Policy) else tuple(map(str, policy)),
        )

    async def _items(self, group: str, plural: str) -> AsyncIterator[_Object]:
        for folder in [f"/namespaces/{name}" for name in self._namespaces] or [""]:
            try:
                async for item in self._pages(f"/apis/{group}{folder}/{plural}"):
                    yield item
            except TargetGoneError:
                # The API does not know this kind.
                return

    async def _pages(self, path: str) -> AsyncIterator[_Object]:
        parameters = {"limit": _PAGE}
        while True:
            content = await self._api.get(path, parameters)
            for item in _list(_at(content, "items")):
                if isinstance(item, dict):
                    yield item
            if not (following := _at(content, "metadata", "continue")):
                return
            parameters = {"limit": _PAGE, "continue": str(following)}


def _scaler(kind: str, item: _Object) -> ForeignScaler | None:
    namespace, name = _text(_at(item, "metadata", "namespace")), _text(_at(item, "metadata", "name"))
    target = _target(namespace or "", _at(item, "spec", "scaleTargetRef"))
    if not (namespace and name and target):
        return None
    # An HPA without minReplicas keeps one; a ScaledObject without minReplicaCount goes down to zero by itself.
    lowest = _at(item, "spec", "minReplicas" if kind == "hpa" else "minReplicaCount")
    return ForeignScaler(kind, name, target, (1 if kind == "hpa" else 0) if lowest is None else _whole(lowest) or 0)


def _target(namespace: str, reference: object) -> TargetKey | None:
    kind, name = _text(_at(reference, "kind")), _text(_at(reference, "name"))
    if not (kind and name):
        return None
    version = _text(_at(reference, "apiVersion")) or "apps/v1"
    return TargetKey(namespace, TargetRef(version, _LEGACY.get(kind, kind), name))


def _at(content: object, *way: str) -> object:
    for name in way:
        if not isinstance(content, Mapping):
            return None
        content = content.get(name)
    return content


def _list(content: object) -> Sequence[object]:
    return content if isinstance(content, list) else ()


def _text(content: object) -> str | None:
    return content if isinstance(content, str) and content else None


def _whole(content: object) -> int | None:
    return content if isinstance(content, int) and not isinstance(content, bool) and content >= 0 else None
