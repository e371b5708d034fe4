"""Control: what people switched for everything, for a namespace or for a service."""

from typing import Annotated

from pydantic import ConfigDict, StringConstraints

from schemas.message import Message, Part, Timestamp
from schemas.parts import Mode

_NAME = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
Scope = Annotated[str, StringConstraints(strict=True, pattern=rf"^(?:\*|{_NAME}/\*|{_NAME}/{_NAME})$")]
"""`*`, `namespace/*` or `namespace/service`; also the key of the record."""


class Freeze(Part):
    """No sleeps in the scope until `until` (null = until somebody unfreezes)."""

    by: str
    at: Timestamp
    why: str
    until: Timestamp | None = None


class ModeSetting(Part):
    """The scope runs in this mode until `until` (null = until somebody sets another)."""

    mode: Mode
    by: str
    at: Timestamp
    why: str
    until: Timestamp | None = None


class Control(Message):
    """Everything that is switched for one scope now: the last record of a key replaces all before it.

    To unfreeze, write `freeze: null`; who changes one of the two keeps the other as it was read. `by`, `at` and
    `why` speak of this last change. A tombstone takes both back.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "cluster": "default",
                    "scope": "shop/*",
                    "by": "maria",
                    "at": "2026-01-31T09:30:00.000Z",
                    "why": "sale starts at noon",
                    "freeze": {
                        "by": "maria",
                        "at": "2026-01-31T09:30:00.000Z",
                        "why": "sale starts at noon",
                        "until": "2026-02-01T00:00:00.000Z",
                    },
                    "mode": None,
                }
            ]
        }
    )

    scope: Scope
    by: str
    at: Timestamp
    why: str
    freeze: Freeze | None = None
    mode: ModeSetting | None = None
