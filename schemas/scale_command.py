"""ScaleCommand: the worker asks the handler for a change of one target."""

from enum import StrEnum
from typing import Self

from pydantic import ConfigDict, model_validator

from schemas.message import Label, Message, Name, Part, Timestamp, Whole
from schemas.parts import Autoscaler, Cause, PolicyRef, Reason, TargetRef


class Direction(StrEnum):
    """`up`: at least `replicas`, never lower than now. `zero`: none. `prepare`: let the resolver take the traffic."""

    UP = "up"
    ZERO = "zero"
    PREPARE = "prepare"


class Expect(Part):
    """What the worker knew of the target when it decided; a zero is carried out only while all of it is still so."""

    uid: Name
    generation: Whole
    replicas: Whole


class ScaleCommand(Message):
    """A command; `id` is derived from its cause, so the same cause gives the same id after a crash and a re-read.

    `seq` grows per service, also across a deletion of its policy; a handler ignores what is below the highest seen.
    `triggered_at` is the time of the event that caused it, `decided_at` that of the decision.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "cluster": "default",
                    "id": "elasti.request-counts/3@1042:shop/web:up",
                    "seq": 1769851800123,
                    "namespace": "shop",
                    "service": "web",
                    "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                    "direction": "up",
                    "replicas": 1,
                    "expect": None,
                    "reason": {"code": "request", "message": "a request came", "facts": {"count": 1}},
                    "autoscaler": {"type": "keda", "name": "web"},
                    "policy": {"uid": "6f1c7e0a-4c8e-4a53-9d0e-3f6a3c1d2b4e", "hash": "9696239e87"},
                    "triggeredAt": "2026-01-31T09:30:00.100Z",
                    "decidedAt": "2026-01-31T09:30:00.123Z",
                    "cause": {"topic": "elasti.request-counts", "partition": 3, "offset": 1042},
                }
            ]
        }
    )

    id: str
    seq: Whole
    namespace: Label
    service: Label
    target: TargetRef
    direction: Direction
    replicas: Whole
    expect: Expect | None = None
    reason: Reason
    autoscaler: Autoscaler | None = None
    policy: PolicyRef
    triggered_at: Timestamp
    decided_at: Timestamp
    cause: Cause

    @model_validator(mode="after")
    def _unmistakable(self) -> Self:
        """Refuse the commands that would harm: an up to nothing, a zero that is not nothing or has no condition."""
        if self.direction is Direction.UP and self.replicas < 1:
            msg = "an up needs at least 1 replica"
            raise ValueError(msg)
        if self.direction is Direction.ZERO and self.replicas != 0:
            msg = "a zero asks for 0 replicas"
            raise ValueError(msg)
        if self.direction is Direction.ZERO and self.expect is None:
            msg = "a zero needs what it expects of its target (uid, generation, replicas)"
            raise ValueError(msg)
        return self
