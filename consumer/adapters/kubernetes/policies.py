"""Policies from the API: every ElastiService, listed and watched, each for itself."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from consumer.adapters.kubernetes.catalogue import Catalogue
from consumer.adapters.kubernetes.resources import Shown
from consumer.adapters.kubernetes.watching import Appeared, Broken, Event, Gone, Watching, Whole
from consumer.core.policy import Policy
from consumer.core.service import ServiceKey
from consumer.elastiservice import API_VERSION, PLURAL, Followers, ResourceText
from consumer.ports import PolicyEntry, PolicyGone, Problem, ResourceRef, TargetError, TargetGoneError, TriggerCheck

log = structlog.get_logger(__name__)

_BREATH: Final = 50
"""Resources that are read in one go: parsing 10,000 of them takes seconds, and the loop has other things to do."""


@dataclass(slots=True)
class _Scope:
    """One namespace, or all of them: whether it was listed, and why it could not be."""

    listed: bool = False
    trouble: TargetError | None = None

    def told(self) -> bool:
        """Whether it is known how things are there, be it that nobody can look."""
        return self.listed or self.trouble is not None


class KubernetesPolicies:
    """Implements `ports.Policies`; `run` must be running.

    `namespaces`: only these are watched, each for itself (none given: the whole cluster, in one watch).
    """

    def __init__(
        self,
        watching: Watching,
        check: TriggerCheck,
        *,
        namespaces: Collection[str] = (),
        beside_kubeelasti: bool = False,
    ) -> None:
        self._watching = watching
        self._catalogue = Catalogue(check, beside_kubeelasti=beside_kubeelasti)
        self._scopes = {namespace: _Scope() for namespace in (sorted(namespaces) or [""])}
        self._listed = asyncio.Event()
        self._followers = Followers()

    async def run(self) -> None:
        """Follow the API until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for namespace in self._scopes:
                tasks.create_task(self._follow(namespace))

    async def listed(self) -> None:
        """Return once everything was listed; a namespace that can not be is not waited for beside others that were."""
        await self._listed.wait()

    def entries(self) -> Mapping[ServiceKey, PolicyEntry]:
        """All services that a resource names."""
        return self._catalogue.entries()

    def whole(self) -> bool:
        """Whether everything could be listed and read: only then is a policy that is not there a deleted one."""
        listed = all(scope.listed and scope.trouble is None for scope in self._scopes.values())
        return listed and not self._catalogue.nameless()

    def conflict(self, policy: Policy) -> ServiceKey | None:
        """The older policy that names the same service or target, if there is one."""
        return self._catalogue.conflict(policy)

    def changes(self) -> AsyncIterator[PolicyEntry | PolicyGone]:
        """Yield what waits to be let go, then each change; of several unread ones of a service the last."""
        return self._followers.follow(self._catalogue.held())

    def resources(self) -> Mapping[ServiceKey, ResourceText]:
        """The resources of the policies in force; for the gateway's `Resources`."""
        return self._catalogue.texts()

    def shown(self, resource: ResourceRef) -> Shown | None:
        """Return a resource as the watch showed it last; for `KubernetesResources`."""
        return self._catalogue.shown(resource)

    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with any resource, and with any namespace that can not be listed."""
        return (*self._catalogue.problems(), *(_problem(*pair) for pair in self._scopes.items() if pair[1].trouble))

    def notices(self) -> tuple[str, ...]:
        """Nothing: an API has no place for what is none of our business."""
        return ()

    async def _follow(self, namespace: str) -> None:
        within = f"/namespaces/{namespace}" if namespace else ""
        seen = 0
        async for event in self._watching.follow(f"/apis/{API_VERSION}{within}/{PLURAL}"):
            self._take(event, namespace)
            seen += 1
            if seen % _BREATH == 0:
                await asyncio.sleep(0)

    def _take(self, event: Event, namespace: str) -> None:
        scope = self._scopes[namespace]
        match event:
            case Appeared(content):
                self._tell(self._shown(content, namespace))
            case Gone(content):
                self._tell(self._catalogue.drop(_uid(content)))
            case Whole(uids):
                self._tell(self._catalogue.keep(uids, namespace))
                if scope.trouble is not None:
                    log.info("policies listed again", namespace=namespace or "all")
                scope.listed, scope.trouble = True, None
            case Broken(error):
                if scope.trouble is None or str(scope.trouble) != str(error):
                    log.warning("policies can not be listed", namespace=namespace or "all", error=str(error))
                scope.trouble = error
        self._settle()

    def _shown(self, content: Mapping[str, object], namespace: str) -> list[PolicyEntry | PolicyGone]:
        try:
            return self._catalogue.show(content, namespace)
        except ValueError as error:
            log.warning("the API showed no resource", error=str(error))
            return []

    def _settle(self) -> None:
        """Everything is listed, or one place at least and no other can be waited for."""
        scopes = self._scopes.values()
        if any(scope.listed for scope in scopes) and all(scope.told() for scope in scopes):
            self._listed.set()

    def _tell(self, changes: Iterable[PolicyEntry | PolicyGone]) -> None:
        for change in changes:
            if isinstance(change, PolicyEntry):
                for problem in change.problems:
                    log.warning("policy problem", where=problem.where, field=problem.field, problem=problem.message)
            self._followers.tell(change)


def _problem(namespace: str, scope: _Scope) -> Problem:
    where = f"namespace {namespace}" if namespace else "cluster"
    cure = "install k8s/crd" if isinstance(scope.trouble, TargetGoneError) else "tried again and again"
    return Problem(where, "", f"its ElastiServices can not be listed: {scope.trouble}; {cure}")


def _uid(content: Mapping[str, object]) -> str:
    match content.get("metadata"):
        case {"uid": str(uid)}:
            return uid
        case _:
            return ""
