"""Names of things: which service, which workload behind it, which autoscaler beside it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

OWN_MANAGER: Final = "elasti"
"""The name under which our handler changes replicas; every other manager is somebody else."""


@dataclass(frozen=True, slots=True, order=True)
class ServiceKey:
    """Identity of a service everywhere in the system: `namespace/name`, the key of every topic."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return `namespace/name`, the form that topics, logs and people use."""
        return f"{self.namespace}/{self.name}"

    def __bytes__(self) -> bytes:
        """Return the UTF-8 record key."""
        return f"{self.namespace}/{self.name}".encode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `namespace/name`; raises ValueError with what to write instead."""
        namespace, slash, name = text.partition("/")
        if not (namespace and slash and name) or "/" in name:
            msg = f'{text!r} is not a service; write "namespace/name", for example "shop/web"'
            raise ValueError(msg)
        return cls(namespace, name)


@dataclass(frozen=True, slots=True, order=True)
class TargetRef:
    """The workload that is scaled: anything in the service's namespace with a `/scale` subresource."""

    api_version: str
    kind: str
    name: str

    def __str__(self) -> str:
        """Return `Kind/name`, the form that KubeElasti's events use."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """A foreign autoscaler that must stand aside while the service sleeps (`keda`) or does so itself (`hpa`)."""

    type: str
    name: str


class Mode(StrEnum):
    """How much is carried out; the strictest of install, namespace and service wins."""

    FULL = "full"
    WAKE_ONLY = "wake-only"
    OBSERVE = "observe"


def strictest(one: Mode, other: Mode) -> Mode:
    """Of two modes the one that carries out less."""
    if one is other or other is Mode.FULL:
        return one
    return other if one is Mode.FULL else Mode.OBSERVE


class Direction(StrEnum):
    """What a command asks of the handler."""

    UP = "up"
    ZERO = "zero"
    PREPARE = "prepare"


class Phase(StrEnum):
    """What a scale result says (design section 4, ScaleResult)."""

    ACCEPTED = "accepted"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    DRAINING = "draining"
    RELEASED = "released"
    READY = "ready"
    NOT_READY = "notReady"
    OBSERVED = "observed"
