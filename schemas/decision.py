"""Decision: what was decided, why, and everything it was decided from, so that it can be explained and repeated."""

from enum import StrEnum
from typing import Final, Literal

from pydantic import ConfigDict, NonNegativeInt

from schemas.judged import Answers, Event, Policy, Surroundings
from schemas.message import Label, Message, Part, Timestamp
from schemas.parts import Cause, Reason
from schemas.service_status import Path
from schemas.state import ServiceState
from schemas.topics import MAX_VALUE_BYTES

VERSION: Final = 1
"""Raised when an older reader could no longer repeat what a newer worker decided."""


class Action(StrEnum):
    """Leave it, wake it, put it to sleep, or ask the resolver to take the traffic first."""

    HOLD = "hold"
    UP = "up"
    ZERO = "zero"
    PREPARE = "prepare"


class Judgement(StrEnum):
    """What made the worker judge: its cycle, a request, a wake due again, a policy that went, a direct wake."""

    CYCLE = "cycle"
    REQUEST = "request"
    RETRY = "retry"
    RELEASE = "release"
    ADOPT = "adoption"


class Inputs(Part):
    """What the decision was made from, beside the state before it.

    `event` for a decision at an event, `answers` for one at a cycle. `requests` are those since the decision before;
    `policy` is there when it is another than at the decision before, else `policy_uid` and `policy_hash` say which.
    """

    requests: NonNegativeInt = 0
    event: Event | None = None
    answers: Answers | None = None
    path: Path = Path.UNKNOWN
    replicas: NonNegativeInt | None = None
    surroundings: Surroundings
    policy_uid: str | None = None
    policy_hash: str | None = None
    policy: Policy | None = None


class Decision(Message):
    """Written when the action or the reason's code changes; `withheld`: the mode kept its command back.

    `cut`: parts of `inputs`, or the states, were left out, since the record would have been too large.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "v": 1,
                    "cluster": "default",
                    "id": "9e1d",
                    "namespace": "shop",
                    "service": "web",
                    "now": "2026-01-31T09:30:00.123Z",
                    "judgement": "request",
                    "action": "up",
                    "reason": {"code": "request", "message": "a request came (count 1)", "facts": {"count": 1}},
                    "inputs": {
                        "requests": 1,
                        "event": {
                            "kind": "requestSeen",
                            "count": 1,
                            "at": "2026-01-31T09:30:00.100Z",
                            "origin": {"topic": "elasti.request-counts", "partition": 3, "offset": 1042},
                            "trace": None,
                        },
                        "answers": None,
                        "path": "resolver",
                        "replicas": 0,
                        "surroundings": {
                            "cause": {"topic": "elasti.request-counts", "partition": 3, "offset": 1042},
                            "mode": "full",
                            "frozen": None,
                            "clockSure": True,
                            "inputsRead": True,
                            "conflict": None,
                            "budgetLeft": 10,
                            "staleAfter": "PT1M",
                            "maxRequestAge": "PT10M",
                        },
                        "policyUid": "6f1c7e0a-4c8e-4a53-9d0e-3f6a3c1d2b4e",
                        "policyHash": "9696239e87",
                        "policy": None,
                    },
                    "before": None,
                    "after": None,
                    "commandId": "5b0c",
                    "withheld": False,
                    "cause": {"topic": "elasti.request-counts", "partition": 3, "offset": 1042},
                    "cut": True,
                }
            ]
        }
    )

    v: Literal[1] = VERSION
    id: str
    namespace: Label
    service: Label
    now: Timestamp
    judgement: Judgement
    action: Action
    reason: Reason
    inputs: Inputs
    before: ServiceState | None = None
    after: ServiceState | None = None
    command_id: str | None = None
    withheld: bool = False
    cause: Cause
    cut: bool = False

    def encode(self) -> bytes:
        """Return the JSON bytes, without what does not fit: first the policy, then answers and event, then states."""
        decision = self
        for lighter in (_without_policy, _without_measurements, _without_states):
            encoded = super(Decision, decision).encode()
            if len(encoded) <= MAX_VALUE_BYTES:
                return encoded
            decision = lighter(decision)
        return super(Decision, decision).encode()


def _without_policy(decision: Decision) -> Decision:
    return _lighter(decision, decision.inputs.model_copy(update={"policy": None}))


def _without_measurements(decision: Decision) -> Decision:
    return _lighter(decision, decision.inputs.model_copy(update={"answers": None, "event": None}))


def _without_states(decision: Decision) -> Decision:
    return decision.model_copy(update={"before": None, "after": None})


def _lighter(decision: Decision, inputs: Inputs) -> Decision:
    return decision.model_copy(update={"inputs": inputs, "cut": True})
