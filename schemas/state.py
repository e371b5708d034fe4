"""ServiceState: everything the worker remembers of one service, so that its next owner goes on where it stopped."""

from datetime import timedelta
from typing import Final, Literal

from pydantic import ConfigDict, NonNegativeInt
from pydantic_core import to_json

from schemas.message import Label, Message, Part, Timestamp
from schemas.parts import Autoscaler, Cause, Mode, Reason, TargetRef
from schemas.scale_command import Direction
from schemas.scale_result import Phase

VERSION: Final = 1
"""Raised when an older worker could no longer read what a newer one writes."""


class Remembered(Part):
    """A piece of the state; what is null is left out."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)


class TargetFacts(Remembered):
    """The target as last reported; `generation` grows with every change of the replicas."""

    uid: str
    generation: int
    replicas: NonNegativeInt
    ready: NonNegativeInt
    at: Timestamp
    manager: str | None = None


class Ask(Remembered):
    """The last command sent, and the handler's answer to it."""

    command_id: str
    seq: NonNegativeInt
    direction: Direction
    replicas: NonNegativeInt
    at: Timestamp
    attempts: NonNegativeInt = 1
    answer: Phase | None = None
    answered_at: Timestamp | None = None
    generation: int | None = None


class Wake(Remembered):
    """A wake that is owed: due since `since`, not yet shown to have a ready replica; `undoes`: the zero it undoes."""

    since: Timestamp
    code: str
    cause: Cause
    triggered_at: Timestamp
    trace: str | None = None
    asked: NonNegativeInt = 0
    asked_at: Timestamp | None = None
    accepted_at: Timestamp | None = None
    generation: int | None = None
    failed: str | None = None
    undoes: str | None = None


class Prepare(Remembered):
    """A zero that waits for the resolver to take the traffic."""

    command_id: str
    since: Timestamp
    timed_out: bool = False


class HostFacts(Remembered):
    """The last word of the resolver on one incoming host."""

    incoming: str
    allowed: bool
    at: Timestamp


class Mark(Remembered):
    """How far one origin partition was applied; what is not newer in offset and time is a repetition."""

    topic: str
    partition: NonNegativeInt
    offset: NonNegativeInt
    at: Timestamp


class Sleep(Remembered):
    """One accepted zero of ours, and who undid it when, if somebody did."""

    at: Timestamp
    undone_at: Timestamp | None = None
    manager: str | None = None


class Said(Remembered):
    """The last decision that was written, so that a service idle for months can still be explained."""

    id: str
    action: str
    reason: Reason
    at: Timestamp
    cause: Cause
    withheld: bool = False
    command_id: str | None = None


class Pause(Remembered):
    """A pause by annotation."""

    kind: Literal["sleep", "all"]
    until: Timestamp | None = None


class Window(Remembered):
    """The requests of the last `length`, as pairs of a bucket's index (widths since 1970) and its count."""

    length: timedelta
    since: Timestamp | None = None
    buckets: tuple[tuple[int, int], ...] = ()


class Waking(Remembered):
    """What the last valid policy said of waking: it holds on while the policy is invalid, or can not be seen."""

    min_replicas: NonNegativeInt
    wake_replicas: Literal["min", "previous"]
    start_timeout: timedelta
    mode: Mode
    pause: Pause | None = None
    autoscaler: Autoscaler | None = None


class ServiceState(Message):
    """One record a service; fields that are null are left out, a tombstone forgets the service."""

    model_config = ConfigDict(
        json_schema_serialization_defaults_required=False,
        json_schema_extra={
            "examples": [
                {
                    "v": 1,
                    "cluster": "default",
                    "namespace": "shop",
                    "service": "web",
                    "firstSeenAt": "2026-01-01T08:00:00.000Z",
                    "seq": 1769851800123,
                    "policyUid": "6f1c7e0a-4c8e-4a53-9d0e-3f6a3c1d2b4e",
                    "policyHash": "9696239e87",
                    "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                    "waking": {"minReplicas": 1, "wakeReplicas": "min", "startTimeout": "PT30M", "mode": "full"},
                    "target": {
                        "uid": "0b0e7a52-8a3c-4b0f-a9a5-5f2f8f6e2d11",
                        "generation": 7,
                        "replicas": 1,
                        "ready": 0,
                        "at": "2026-01-31T09:30:00.140Z",
                    },
                    "ask": {
                        "commandId": "5b0c",
                        "seq": 1769851800123,
                        "direction": "up",
                        "replicas": 1,
                        "at": "2026-01-31T09:30:00.123Z",
                        "attempts": 1,
                        "answer": "accepted",
                        "answeredAt": "2026-01-31T09:30:00.140Z",
                        "generation": 7,
                    },
                    "wake": {
                        "since": "2026-01-31T09:30:00.100Z",
                        "code": "request",
                        "cause": {"topic": "elasti.request-counts", "partition": 3, "offset": 1042},
                        "triggeredAt": "2026-01-31T09:30:00.100Z",
                        "asked": 1,
                        "askedAt": "2026-01-31T09:30:00.123Z",
                        "acceptedAt": "2026-01-31T09:30:00.140Z",
                        "generation": 7,
                    },
                    "hosts": [],
                    "marks": [
                        {
                            "topic": "elasti.request-counts",
                            "partition": 3,
                            "offset": 1042,
                            "at": "2026-01-31T09:30:00.100Z",
                        }
                    ],
                    "window": {"length": "PT5M", "since": "2026-01-31T09:25:00.000Z", "buckets": [[342164850, 1]]},
                    "requests": 1,
                    "lastRequestAt": "2026-01-31T09:30:00.100Z",
                    "lastWakeAt": "2026-01-31T09:30:00.140Z",
                    "sleeps": [],
                    "said": {
                        "id": "9e1d",
                        "action": "up",
                        "reason": {"code": "request", "message": "a request came", "facts": {"count": 1}},
                        "at": "2026-01-31T09:30:00.123Z",
                        "cause": {"topic": "elasti.request-counts", "partition": 3, "offset": 1042},
                        "withheld": False,
                        "commandId": "5b0c",
                    },
                }
            ]
        },
    )

    v: Literal[1] = VERSION
    namespace: Label
    service: Label
    first_seen_at: Timestamp
    seq: NonNegativeInt = 0
    policy_uid: str | None = None
    policy_hash: str | None = None
    target_ref: TargetRef | None = None
    waking: Waking | None = None
    target: TargetFacts | None = None
    before_sleep: NonNegativeInt | None = None
    ask: Ask | None = None
    wake: Wake | None = None
    prepare: Prepare | None = None
    hosts: tuple[HostFacts, ...] = ()
    marks: tuple[Mark, ...] = ()
    window: Window | None = None
    requests: NonNegativeInt = 0
    last_request_at: Timestamp | None = None
    last_wake_at: Timestamp | None = None
    ready_at: Timestamp | None = None
    foreign_up_at: Timestamp | None = None
    sleeps: tuple[Sleep, ...] = ()
    contested_since: Timestamp | None = None
    said: Said | None = None

    def encode(self) -> bytes:
        """Return the JSON bytes without nulls: there is one of these for every service, read at every restore."""
        return to_json(self, by_alias=True, exclude_none=True, inf_nan_mode="strings")
