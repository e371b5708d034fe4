"""ElastiServices as resources in memory: the fast twin of what an API server does with status and finalizers."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from consumer.elastiservice import FINALIZER, KUBEELASTI_FINALIZER, merged, status_patch
from consumer.ports import Clock, ResourceRef, ResourceStatus, TargetError, TargetGoneError


@dataclass(slots=True)
class _Kept:
    """One resource: its status as the API shows it, its finalizers, and whether somebody deleted it."""

    status: dict[str, object] = field(default_factory=dict)
    finalizers: list[str] = field(default_factory=list)
    leaving: bool = False


class MemoryResources:
    """Implements `ports.Resources`; tests play everybody else: they create, delete and let calls fail.

    `writes` holds every write that was sent: the resource and what of it changed.
    """

    def __init__(self, clock: Clock, *, beside_kubeelasti: bool = False) -> None:
        self.writes: list[tuple[ResourceRef, Mapping[str, object]]] = []
        self._clock = clock
        self._ours = (FINALIZER,) if beside_kubeelasti else (FINALIZER, KUBEELASTI_FINALIZER)
        self._kept: dict[ResourceRef, _Kept] = {}
        self._ending: set[str] = set()
        self._failures: deque[TargetError | None] = deque()

    async def write_status(self, resource: ResourceRef, status: ResourceStatus) -> bool:
        """Write what differs; False when nothing did, and then nothing was sent."""
        kept = self._kept.get(resource)
        patch = status_patch({} if kept is None else kept.status, status, self._clock.read().now)
        if not patch:
            return False
        await self._received()
        kept = self._present(resource)
        kept.status = merged(kept.status, patch)
        self.writes.append((resource, {"status": patch}))
        return True

    async def hold(self, resource: ResourceRef) -> None:
        """Put our finalizer on it, unless it is there or the resource is leaving already."""
        kept = self._kept.get(resource)
        if kept is not None and FINALIZER in kept.finalizers:
            return
        await self._received()
        kept = self._present(resource)
        if kept.leaving:
            raise TargetGoneError(f"{resource} is being deleted: nothing can be put on it any more")
        kept.finalizers.append(FINALIZER)
        self.writes.append((resource, {"finalizers": tuple(kept.finalizers)}))

    async def let_go(self, resource: ResourceRef) -> None:
        """Take our finalizer off; the resource of that uid may be gone already."""
        await self._received()
        kept = self._kept.get(resource)
        if kept is None or not set(kept.finalizers) & set(self._ours):
            return
        kept.finalizers = [name for name in kept.finalizers if name not in self._ours]
        self.writes.append((resource, {"finalizers": tuple(kept.finalizers)}))
        self._end(resource)

    async def namespace_ends(self, namespace: str) -> bool:
        """Whether a namespace is being deleted."""
        await self._received()
        return namespace in self._ending

    def end_namespace(self, namespace: str) -> None:
        """Somebody deletes a namespace, and so everything in it."""
        self._ending.add(namespace)
        for resource in [one for one in self._kept if one.namespace == namespace]:
            self.delete(resource)

    def create(self, resource: ResourceRef, *finalizers: str) -> ResourceRef:
        """Somebody applies it."""
        self._kept[resource] = _Kept(finalizers=list(finalizers))
        return resource

    def delete(self, resource: ResourceRef) -> None:
        """Somebody deletes it: it is gone once nothing holds it any more."""
        self._present(resource).leaving = True
        self._end(resource)

    def status(self, resource: ResourceRef) -> Mapping[str, object]:
        """The status as `kubectl get -o json` shows it; raises TargetGoneError."""
        return self._present(resource).status

    def finalizers(self, resource: ResourceRef) -> tuple[str, ...]:
        """What holds it; raises TargetGoneError."""
        return tuple(self._present(resource).finalizers)

    def exists(self, resource: ResourceRef) -> bool:
        """Whether the API shows it still."""
        return resource in self._kept

    def fail(self, *failures: TargetError | None) -> None:
        """Answer the next calls with these, one each; None: that one is answered as ever."""
        self._failures.extend(failures)

    async def _received(self) -> None:
        # A real call waits, too: whoever relies on nothing happening meanwhile is found out.
        await asyncio.sleep(0)
        if self._failures and (failure := self._failures.popleft()) is not None:
            raise failure

    def _present(self, resource: ResourceRef) -> _Kept:
        kept = self._kept.get(resource)
        if kept is None:
            raise TargetGoneError(f"there is no ElastiService {resource} of uid {resource.uid} any more")
        return kept

    def _end(self, resource: ResourceRef) -> None:
        kept = self._kept[resource]
        if kept.leaving and not kept.finalizers:
            del self._kept[resource]
