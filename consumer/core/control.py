"""What people switched, for everything, a namespace or a service: freezes and modes, in one immutable book."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from consumer.core.reasons import stamp
from consumer.core.service import Mode, ServiceKey, strictest


class ControlKind(StrEnum):
    """What a person switches."""

    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    MODE = "mode"


@dataclass(frozen=True, slots=True)
class Control:
    """One switch: `key_pattern` is `*`, `namespace/*` or `namespace/service`; the exact end of `until` counts as over.

    `mode` is for the kind `mode` only; None takes the mode of that pattern back.
    """

    key_pattern: str
    kind: ControlKind
    mode: Mode | None
    by: str
    why: str
    until: datetime | None
    at: datetime

    def in_force(self, now: datetime) -> bool:
        """Whether it holds now; an unfreeze, or a mode taken back, is the absence of a switch."""
        if self.kind is ControlKind.UNFREEZE or (self.kind is ControlKind.MODE and self.mode is None):
            return False
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Controls:
    """All switches; a later record for the same pattern replaces the earlier one of its kind.

    `also` is what a second place says, the cluster beside the log: frozen if either says so, the strictest mode counts.
    """

    freezes: Mapping[str, Control] = field(default_factory=lambda: MappingProxyType({}))
    modes: Mapping[str, Control] = field(default_factory=lambda: MappingProxyType({}))
    also: Self | None = None

    @property
    def set_modes(self) -> bool:
        """Whether a mode is switched for anything at all."""
        return bool(self.modes) or (self.also is not None and self.also.set_modes)

    @property
    def set_freezes(self) -> bool:
        """Whether a freeze is known for anything at all, be it over by now."""
        return bool(self.freezes) or (self.also is not None and self.also.set_freezes)

    def beside(self, switches: Sequence[Control]) -> Self:
        """Return the book with these as all that the second place says, whatever it said before."""
        second = replace(self, freezes=MappingProxyType({}), modes=MappingProxyType({}), also=None)
        for switch in switches:
            second = second.apply(switch)
        return replace(self, also=second)

    def emptied(self) -> Self:
        """Return the book without what the log said; the second place stays as it is."""
        return replace(self, freezes=MappingProxyType({}), modes=MappingProxyType({}))

    def apply(self, control: Control) -> Self:
        """Return the book with this switch in it, in the order of the log."""
        if control.kind is ControlKind.MODE:
            return replace(self, modes=_with(self.modes, control))
        return replace(self, freezes=_with(self.freezes, control))

    def forget(self, key_pattern: str) -> Self:
        """Return the book without the switches of this pattern, as a tombstone of it asks."""
        return replace(self, freezes=_without(self.freezes, key_pattern), modes=_without(self.modes, key_pattern))

    def frozen(self, key: ServiceKey, now: datetime) -> str | None:
        """Say who froze the sleeps of this service, why and until when; None when nobody did."""
        for pattern in _patterns(key):
            freeze = self.freezes.get(pattern)
            if freeze is not None and freeze.in_force(now):
                until = f", until {stamp(freeze.until)}" if freeze.until is not None else ""
                return f"{freeze.by} ({pattern}): {freeze.why}{until}"
        return self.also.frozen(key, now) if self.also is not None else None

    def mode(self, key: ServiceKey, now: datetime) -> Mode:
        """Return the strictest mode that is switched for this service at any level; `full` when none is."""
        mode = self.also.mode(key, now) if self.also is not None else Mode.FULL
        for pattern in _patterns(key):
            switched = self.modes.get(pattern)
            if switched is not None and switched.mode is not None and switched.in_force(now):
                mode = strictest(mode, switched.mode)
        return mode


def unreadable(why: str, now: datetime) -> Control:
    """Stand in for switches that can not be read: somebody may have frozen everything, so nothing sleeps; wakes go on.

    A freeze, not an error: a right that is missing must not keep anything from being woken.
    """
    told = f"the switches kept in the cluster can not be read: {why}"
    return Control("*", ControlKind.FREEZE, None, "elasti", told, None, now)


def _patterns(key: ServiceKey) -> tuple[str, str, str]:
    """Whatever may name this service, the widest first."""
    return "*", f"{key.namespace}/*", str(key)


def _with(switches: Mapping[str, Control], control: Control) -> Mapping[str, Control]:
    return MappingProxyType({**switches, control.key_pattern: control})


def _without(switches: Mapping[str, Control], key_pattern: str) -> Mapping[str, Control]:
    return MappingProxyType({pattern: switch for pattern, switch in switches.items() if pattern != key_pattern})
