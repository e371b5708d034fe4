"""What the handler knows at this moment: the targets as watched, the policies, and what is frozen or switched off."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime

from consumer.core.case import pause_in_force
from consumer.core.control import Controls
from consumer.core.outcome import Command
from consumer.core.policy import Policy
from consumer.core.reasons import Code, stamp
from consumer.core.service import OWN_MANAGER, Direction, Mode, ServiceKey, strictest
from consumer.handler.judge import Obstacle
from consumer.ports import ResourceRef, TargetKey, TargetView

_GIVES_BACK = frozenset({Code.POLICY_DELETED, Code.TARGET_CHANGED})


def gives_back(command: Command) -> bool:
    """Whether this up gives a target back for good: nobody would ever ask for it again."""
    return command.direction is Direction.UP and command.reason.code in _GIVES_BACK


def takes_back(command: Command) -> bool:
    """Whether this up is there to end a prepare that came to nothing."""
    return command.direction is Direction.UP and command.reason.fact("prepare") is not None


class Scene:
    """Views, policies and controls, each replaced as news of it comes in."""

    def __init__(self, mode: Mode) -> None:
        self.controls = Controls()
        self.listed = False
        """Whether the policies were read once: before, nobody can say that a service has none."""
        self._mode = mode
        self._views: dict[TargetKey, TargetView] = {}
        self._awake: dict[TargetKey, int] = {}
        self._gone: set[TargetKey] = set()
        self._policies: dict[ServiceKey, Policy] = {}
        self._resources: dict[ServiceKey, ResourceRef] = {}
        self._services: defaultdict[TargetKey, set[ServiceKey]] = defaultdict(set)

    def view(self, target: TargetKey) -> TargetView | None:
        """The target as last seen, None when it never was or is gone."""
        return self._views.get(target)

    def awake_replicas(self, target: TargetKey) -> int | None:
        """What the target had when it was last seen above zero, None when it never was."""
        return self._awake.get(target)

    def is_gone(self, target: TargetKey) -> bool:
        """Whether the target is known to be deleted."""
        return target in self._gone

    def watched(self, view: TargetView) -> None:
        """The watch shows this; what our own call already showed newer stays."""
        known = self._views.get(view.key)
        if known is None or known.uid != view.uid or known.generation <= view.generation:
            self._saw(view)

    def read(self, view: TargetView) -> None:
        """A call of ours returned this; the watch is believed unless this is of a later generation or another uid."""
        known = self._views.get(view.key)
        if known is None or known.uid != view.uid or known.generation < view.generation:
            self._saw(view)
        elif known.generation == view.generation and known.replicas == view.replicas and view.manager == OWN_MANAGER:
            # The watch was quicker, and could not tell whose work it shows.
            self._views[view.key] = replace(known, manager=OWN_MANAGER)

    def vanished(self, target: TargetKey) -> None:
        """The target was deleted."""
        self._views.pop(target, None)
        self._awake.pop(target, None)
        if target in self._services:
            self._gone.add(target)

    def attributed(self, view: TargetView) -> TargetView:
        """Return the view with our name, if this very generation came of a call of ours.

        The API server keeps no name for a zero: the field is left out of a Scale at zero, and nobody owns what is
        not there. A generation is one specification, so whoever made it set its replicas.
        """
        known = self._views.get(view.key)
        if known is None or known.manager != OWN_MANAGER or view.manager == OWN_MANAGER:
            return view
        same = (known.uid, known.generation, known.replicas) == (view.uid, view.generation, view.replicas)
        return replace(view, manager=OWN_MANAGER) if same else view

    def _saw(self, view: TargetView) -> None:
        self._views[view.key] = self.attributed(view)
        if view.replicas:
            self._awake[view.key] = view.replicas
        self._gone.discard(view.key)

    def policies(self) -> frozenset[ServiceKey]:
        """The services with a policy in force."""
        return frozenset(self._policies)

    def policy(self, key: ServiceKey) -> Policy | None:
        """The policy in force for the service."""
        return self._policies.get(key)

    def target(self, key: ServiceKey) -> TargetKey | None:
        """The target of the service's policy."""
        policy = self._policies.get(key)
        return TargetKey(key.namespace, policy.target) if policy else None

    def services(self, target: TargetKey) -> frozenset[ServiceKey]:
        """The services whose policy names this target."""
        return frozenset(self._services.get(target, ()))

    def resource(self, key: ServiceKey) -> ResourceRef | None:
        """The resource that the service's policy comes from, when that is an API."""
        return self._resources.get(key)

    def put(self, policy: Policy, resource: ResourceRef | None = None) -> None:
        """This policy is in force for its service."""
        self.drop(policy.key)
        if resource is not None:
            self._resources[policy.key] = resource
        self._policies[policy.key] = policy
        self._services[TargetKey(policy.key.namespace, policy.target)].add(policy.key)

    def drop(self, key: ServiceKey) -> None:
        """No policy is in force for this service any more."""
        target = self.target(key)
        if target is None:
            return
        self._resources.pop(key, None)
        del self._policies[key]
        self._services[target].discard(key)
        if not self._services[target]:
            del self._services[target]
            self._gone.discard(target)

    def withholds(self, command: Command, now: datetime) -> Obstacle | None:
        """Why this command is not to be carried out now, whatever it was when it was decided."""
        if gives_back(command) or takes_back(command):
            return None
        mode = self.mode_of(command.key, now)
        if mode is Mode.OBSERVE or (mode is Mode.WAKE_ONLY and command.direction is not Direction.UP):
            return Obstacle("mode", f'{command.key} is in mode {mode}; set mode "full" to let it sleep')
        return None if command.direction is Direction.UP else self._keeps_awake(command.key, now)

    def mode_of(self, key: ServiceKey, now: datetime) -> Mode:
        """The strictest mode of installation, switches and policy."""
        policy = self._policies.get(key)
        switched = strictest(self._mode, self.controls.mode(key, now))
        return strictest(switched, policy.mode) if policy else switched

    def _keeps_awake(self, key: ServiceKey, now: datetime) -> Obstacle | None:
        if frozen := self.controls.frozen(key, now):
            return Obstacle("frozen", f"sleeps of {key} are frozen: {frozen}; unfreeze it to let it sleep")
        policy = self._policies.get(key)
        if policy is None:
            return Obstacle("no-policy", f"{key} has no policy in force here; nothing sleeps without one")
        if pause := pause_in_force(policy, now):
            until = f" until {stamp(pause.until)}" if pause.until else ""
            return Obstacle("paused", f"{key} is paused by annotation{until}; remove the annotation to let it sleep")
        return None
