"""Scale commands as they are read from the log."""

from consumer.core.inputs import Cause, CycleCause, RecordCause
from consumer.core.outcome import Command, Expect
from consumer.core.reasons import Code, Reason
from consumer.core.service import Autoscaler, Direction, ServiceKey, TargetRef
from schemas import parts
from schemas.codec import MAX_CAUSE, Undecodable, decode
from schemas.scale_command import ScaleCommand

_SHOWN = 80


def command_of(raw: bytes | None, cluster: str, trace: str | None = None) -> Command | Undecodable:
    """Read a command for this cluster; whatever else it is comes back as a value that says why."""
    message = decode(ScaleCommand, raw)
    if isinstance(message, Undecodable):
        return message
    if message.cluster != cluster:
        return Undecodable(f'cluster: is "{message.cluster[:_SHOWN]}", but "{cluster}" is scaled here', raw)
    try:
        return _command(message, trace)
    except ValueError as error:
        return Undecodable(str(error)[:MAX_CAUSE], raw)


def _command(message: ScaleCommand, trace: str | None) -> Command:
    return Command(
        id=message.id,
        seq=message.seq,
        key=ServiceKey(message.namespace, message.service),
        target=TargetRef(message.target.api_version, message.target.kind, message.target.name),
        direction=Direction(message.direction.value),
        replicas=message.replicas,
        expect=_expect(message),
        reason=_reason(message.reason),
        autoscaler=Autoscaler(message.autoscaler.type, message.autoscaler.name) if message.autoscaler else None,
        policy_uid=message.policy.uid,
        policy_hash=message.policy.hash,
        triggered_at=message.triggered_at,
        decided_at=message.decided_at,
        cause=_cause(message.cause),
        trace=trace,
    )


def _expect(message: ScaleCommand) -> Expect | None:
    expect = message.expect
    return Expect(expect.uid, expect.generation, expect.replicas) if expect else None


def _reason(reason: parts.Reason) -> Reason:
    return Reason(Code(reason.code), tuple(reason.facts.items()))


def _cause(cause: parts.Cause) -> Cause:
    if isinstance(cause, parts.RecordCause):
        return RecordCause(cause.topic, cause.partition, cause.offset)
    owner, _, counter = cause.cycle.rpartition("#")
    return CycleCause(owner, int(counter))
