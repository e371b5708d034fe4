"""ScaleResult: what came of a command, or what was seen of a target without one."""

from enum import StrEnum

from pydantic import ConfigDict

from schemas.message import Label, Message, Part, Timestamp, Whole
from schemas.parts import KnownTarget


class Phase(StrEnum):
    """What the result says."""

    ACCEPTED = "accepted"
    """The API took the change."""
    UNCHANGED = "unchanged"
    """It was already so."""
    SUPERSEDED = "superseded"
    """A newer command came, or the target is not what was expected any more."""
    FAILED = "failed"
    """It could not be done; `error` says why and what to do."""
    DRAINING = "draining"
    """Asks the resolver to take the traffic."""
    RELEASED = "released"
    """A prepare was taken back."""
    READY = "ready"
    """The first ready replica of the present generation: queued requests can go."""
    NOT_READY = "notReady"
    """No replica is ready any more."""
    OBSERVED = "observed"
    """First sight, or a change of the replicas that no published result reports."""


class ResultCause(StrEnum):
    """What led to the result: a command from the log, a direct wake without Kafka, or the handler's own watch."""

    COMMAND = "command"
    DIRECT = "direct"
    OBSERVED = "observed"


class ResultError(Part):
    """Why it failed, for machines (`code`) and people (`message`); `retryable`: the same call may work later."""

    code: str
    message: str
    retryable: bool


class ScaleResult(Message):
    """A result; `replicas` and `ready_replicas` are the target's at `at`, whatever the phase.

    `command_id`, `triggered_at` and `decided_at` are null for an observation; `manager` is who changed the target
    when somebody else did. `clock_sure` is false when the handler did not know the broker's time then: it had started
    while Kafka was away, and `at` and `triggered_at` of a direct wake are its machine's own.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "cluster": "default",
                    "id": "elasti.request-counts/3@1042:shop/web:up:accepted",
                    "commandId": "elasti.request-counts/3@1042:shop/web:up",
                    "namespace": "shop",
                    "service": "web",
                    "target": {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "name": "web",
                        "uid": "0b0e7a52-8a3c-4b0f-a9a5-5f2f8f6e2d11",
                        "generation": 7,
                    },
                    "phase": "accepted",
                    "replicas": 1,
                    "readyReplicas": 0,
                    "error": None,
                    "cause": "command",
                    "manager": None,
                    "attempts": 1,
                    "triggeredAt": "2026-01-31T09:30:00.100Z",
                    "decidedAt": "2026-01-31T09:30:00.123Z",
                    "at": "2026-01-31T09:30:00.140Z",
                    "clockSure": True,
                }
            ]
        }
    )

    id: str
    command_id: str | None = None
    namespace: Label
    service: Label
    target: KnownTarget
    phase: Phase
    replicas: Whole
    ready_replicas: Whole
    error: ResultError | None = None
    cause: ResultCause
    manager: str | None = None
    attempts: Whole = 0
    triggered_at: Timestamp | None = None
    decided_at: Timestamp | None = None
    at: Timestamp
    clock_sure: bool = True
