"""ServiceStatus: the whole present of one service, for whoever starts late."""

from enum import StrEnum

from pydantic import ConfigDict

from schemas.message import Label, Message, Timestamp, Whole
from schemas.parts import KnownTarget, Mode, Reason


class Path(StrEnum):
    """Where the requests of the service go now."""

    RESOLVER = "resolver"
    DIRECT = "direct"
    UNKNOWN = "unknown"


class ServiceStatus(Message):
    """The last record of a key is the present; a tombstone says that the policy is gone.

    `desired` is what the last command asked for, `replicas` and `ready_replicas` what was last seen; null = not
    known yet. `since` is when it came to be so. Of `ready_replicas` only 0 or not 0 is sure: the log tells of the first
    ready replica and of the last one to go, not of those between.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "cluster": "default",
                    "namespace": "shop",
                    "service": "web",
                    "target": {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "name": "web",
                        "uid": "0b0e7a52-8a3c-4b0f-a9a5-5f2f8f6e2d11",
                        "generation": 8,
                    },
                    "desired": 0,
                    "replicas": 0,
                    "readyReplicas": 0,
                    "path": "resolver",
                    "reason": {
                        "code": "idle",
                        "message": "nothing was asked of it for a whole cooldown",
                        "facts": {"cooldown": "15m00s"},
                    },
                    "since": "2026-01-31T09:45:00.123Z",
                    "lastRequestAt": "2026-01-31T09:30:00.100Z",
                    "lastWakeAt": "2026-01-31T09:30:00.140Z",
                    "mode": "full",
                }
            ]
        }
    )

    namespace: Label
    service: Label
    target: KnownTarget
    desired: Whole | None = None
    replicas: Whole | None = None
    ready_replicas: Whole | None = None
    path: Path = Path.UNKNOWN
    reason: Reason
    since: Timestamp
    last_request_at: Timestamp | None = None
    last_wake_at: Timestamp | None = None
    mode: Mode = Mode.FULL
