"""The pieces that several outputs share: targets, reasons, causes, references."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from schemas.message import Name, Part, Whole

Fact = str | Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | float | bool
"""One value of a reason's facts."""


class Mode(StrEnum):
    """How much is carried out; the strictest of install, namespace and service wins."""

    FULL = "full"
    WAKE_ONLY = "wake-only"
    OBSERVE = "observe"


class TargetRef(Part):
    """The workload that is scaled: anything in the service's namespace with a `/scale` subresource."""

    api_version: Name
    kind: Name
    name: Name


class KnownTarget(TargetRef):
    """A target with the identity it had when it was last seen; both null when it was not found."""

    uid: Name | None = None
    generation: Whole | None = None


class Autoscaler(Part):
    """The foreign autoscaler beside the target: `keda` or `hpa`."""

    type: Name
    name: Name


class PolicyRef(Part):
    """Which content of which ElastiService a decision followed."""

    uid: Name
    hash: Name


def _named(facts: object) -> object:
    """Take the core's pairs as an object; whatever else it is, is left to be refused."""
    return dict(facts) if isinstance(facts, tuple) else facts


class Reason(Part):
    """Why: a closed code, a sentence for people, and the facts that made it true, in the order they matter."""

    code: str
    message: str
    facts: Annotated[dict[str, Fact], BeforeValidator(_named, json_schema_input_type=dict[str, Fact])] = Field(
        default_factory=dict
    )


class RecordCause(Part):
    """The record that caused it; of a forwarded record the place where it first entered."""

    topic: str
    partition: Whole
    offset: Whole


class CycleCause(Part):
    """An evaluation that no record caused: `<owner's producer id and epoch>#<its counter>`."""

    cycle: str


Cause = RecordCause | CycleCause
