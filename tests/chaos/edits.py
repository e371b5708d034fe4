"""The operator: changes policies while everything breaks, and remembers when each change was in force for sure."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from consumer.adapters.kubernetes.api import Api, PatchKind
from consumer.ports import TargetBusyError, TargetGoneError, TargetMovedError
from tests.bed.manifests import Manifest, deployment
from tests.chaos.deeds import Change, Edit
from tests.chaos.eyes import DEPLOYMENTS, Eyes
from tests.chaos.fleet import NAMESPACE, PAUSED, Spec, edited, policy

POLICIES = f"/apis/elasti.truefoundry.com/v1alpha1/namespaces/{NAMESPACE}/elastiservices"
_AGAIN = 0.3


@dataclass(frozen=True, slots=True)
class Version:
    """What a service's policy was from when on: `asked` when the change was begun, `sure` when the API had taken it."""

    asked: datetime
    sure: datetime
    spec: Spec
    target: str
    paused: str = ""
    """`sleep`, `all`, or nothing."""
    exists: bool = True


@dataclass(slots=True)
class Editor:
    """Carries out edits; `versions` holds the history of every service's policy, the first version included."""

    api: Api
    eyes: Eyes
    versions: dict[str, list[Version]] = field(default_factory=dict)
    touched: list[tuple[datetime, Change, str]] = field(default_factory=list)

    def begin(self, fleet: tuple[Spec, ...], now: datetime) -> None:
        """Write down what everything is at the beginning."""
        for spec in fleet:
            paused = spec.held.value if spec.held.value in ("sleep", "all") else ""
            self.versions[spec.name] = [Version(now, now, spec, spec.name, paused)]

    async def carry_out(self, edit: Edit) -> None:
        """Do one edit to its end; a pause ends after its time."""
        asleep = [name for name in edit.among if not self.eyes.replicas(self._last(name).target)]
        name = (asleep or list(edit.among))[0]
        self.touched.append((datetime.now(UTC), edit.change, name))
        before = self._last(name)
        match edit.change:
            case Change.COOLDOWN | Change.MINIMUM:
                await self._numbers(name, edit)
            case Change.PAUSE_SLEEP | Change.PAUSE_ALL:
                kind = "sleep" if edit.change is Change.PAUSE_SLEEP else "all"
                await self._change(name, replace(before, paused=kind), _annotated(kind))
                await asyncio.sleep(edit.length.total_seconds())
                await self._change(name, replace(before, paused=""), _annotated(None))
            case Change.RECREATE:
                await self._anew(name, name)
            case Change.RENAME:
                await self._anew(name, f"{name}-renamed")
            case Change.RETARGET:
                target = f"{name}-other"
                await self._surely(lambda: self._made(DEPLOYMENTS, deployment(target)))
                body = {"spec": {"scaleTargetRef": {"name": target}}}
                await self._change(name, replace(before, target=target), body)

    async def _numbers(self, name: str, edit: Edit) -> None:
        before = self._last(name)
        if edit.change is Change.COOLDOWN:
            spec = edited(before.spec, cooldown=timedelta(seconds=edit.value))
            body: Manifest = {"spec": {"cooldownPeriod": edit.value}}
        else:
            spec = edited(before.spec, minimum=edit.value)
            body = {"spec": {"minTargetReplicas": edit.value}}
        await self._change(name, replace(before, spec=spec), body)

    async def _anew(self, name: str, resource: str) -> None:
        """Delete the resource and make it again, under its name or another one."""
        before = self._last(name)
        await self._step(name, replace(before, exists=False), lambda: self.api.delete(f"{POLICIES}/{name}"))
        made = policy(before.spec, name=resource)
        await self._step(name, before, lambda: self._made(POLICIES, made))

    async def _change(self, name: str, version: Version, body: Manifest) -> None:
        await self._step(name, version, lambda: self.api.patch(f"{POLICIES}/{name}", body, PatchKind.MERGE))

    async def _step(self, name: str, version: Version, call: Callable[[], Awaitable[object]]) -> None:
        asked = datetime.now(UTC)
        await self._surely(call)
        self.versions[name].append(replace(version, asked=asked, sure=datetime.now(UTC)))

    async def _made(self, path: str, manifest: Manifest) -> None:
        """Create it, or find that a call whose answer was lost has done so."""
        try:
            await self.api.post(path, manifest)
        except TargetMovedError:
            match await self.api.get(f"{path}/{manifest['metadata']['name']}"):
                case {"metadata": dict(metadata)} if "deletionTimestamp" not in metadata:
                    return
                case _:
                    raise

    async def _surely(self, call: Callable[[], Awaitable[object]]) -> None:
        """Call until it is done: the API server may be away, and what was deleted is there until it is let go."""
        while True:
            try:
                await call()
            except (TargetBusyError, TargetMovedError):
                await asyncio.sleep(_AGAIN)
            except TargetGoneError:
                return
            else:
                return

    def _last(self, name: str) -> Version:
        return self.versions[name][-1]


def at(versions: list[Version], first: datetime, last: datetime) -> Iterator[Version]:
    """Yield every version that may have been in force in this time."""
    for version, following in zip(versions, [*versions[1:], None], strict=True):
        if version.asked <= last and (following is None or following.sure >= first):
            yield version


def _annotated(value: str | None) -> Manifest:
    return {"metadata": {"annotations": {PAUSED: value}}}
