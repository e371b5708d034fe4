"""Commands, statuses and controls out of core values, and the core's facts out of results."""

from datetime import datetime

from consumer.core.control import Control as Switch
from consumer.core.control import ControlKind, Controls
from consumer.core.inputs import RecordCause, ResultSeen
from consumer.core.outcome import Command
from consumer.core.policy import Policy
from consumer.core.service import Direction, Mode, TargetRef
from consumer.core.service import Phase as CorePhase
from consumer.core.state import HostFacts, ServiceState
from consumer.wire.shapes import json_of
from schemas.codec import MAX_CAUSE
from schemas.control import Control, Freeze, ModeSetting
from schemas.parts import KnownTarget
from schemas.parts import Mode as WireMode
from schemas.scale_command import ScaleCommand
from schemas.scale_result import ResultCause, ScaleResult
from schemas.service_status import Path, ServiceStatus


def command_message(command: Command, cluster: str) -> ScaleCommand:
    """Return the message that asks the handler for this."""
    return ScaleCommand.model_validate(
        {
            **json_of(command),
            "cluster": cluster,
            "namespace": command.key.namespace,
            "service": command.key.name,
            "policy": {"uid": command.policy_uid, "hash": command.policy_hash},
        }
    )


def result_seen(result: ScaleResult, origin: RecordCause, appended: datetime) -> ResultSeen:
    """Return what a result tells the core; a target that was not found has no uid and generation 0.

    Its texts are cut, since they go into the state, which has to fit into a record whatever a cluster answers. Nothing
    is told before it happened: a handler's clock that is ahead, or a forged time, ends where the log's time is. Of one
    that did not know the time, the log's time counts: no cooldown ends early by a clock that was behind.
    """
    known = result.clock_sure
    return ResultSeen(
        phase=CorePhase(result.phase.value),
        command_id=result.command_id,
        target=TargetRef(result.target.api_version, result.target.kind, result.target.name),
        uid=result.target.uid or "",
        generation=result.target.generation or 0,
        replicas=result.replicas,
        ready=result.ready_replicas,
        at=min(result.at, appended) if known else appended,
        origin=origin,
        direct=result.cause is ResultCause.DIRECT,
        manager=result.manager[:MAX_CAUSE] if result.manager else None,
        error=result.error.message[:MAX_CAUSE] if result.error else None,
        retryable=result.error.retryable if result.error else False,
        triggered_at=min(result.triggered_at, appended) if result.triggered_at and known else None,
    )


def control_message(controls: Controls, change: Switch, cluster: str) -> Control:
    """Return the record that carries out a change: the whole of its scope, with what was switched there before.

    A compacted topic keeps the last record of a key only, so a freeze must not wipe out the mode set before it.
    """
    scope = change.key_pattern
    after = controls.apply(change)
    freeze, mode = after.freezes.get(scope), after.modes.get(scope)
    return Control(
        cluster=cluster,
        scope=scope,
        by=change.by,
        at=change.at,
        why=change.why,
        freeze=Freeze(by=freeze.by, at=freeze.at, why=freeze.why, until=freeze.until)
        if freeze and freeze.kind is ControlKind.FREEZE
        else None,
        mode=ModeSetting(mode=WireMode(mode.mode.value), by=mode.by, at=mode.at, why=mode.why, until=mode.until)
        if mode and mode.mode
        else None,
    )


def status_message(state: ServiceState, policy: Policy, mode: Mode, cluster: str) -> ServiceStatus | None:
    """Return the whole present of a service; None before its first decision."""
    if state.said is None:
        return None
    target, asked = state.target, state.ask
    return ServiceStatus.model_validate(
        {
            "cluster": cluster,
            "namespace": state.key.namespace,
            "service": state.key.name,
            "target": KnownTarget(
                api_version=policy.target.api_version,
                kind=policy.target.kind,
                name=policy.target.name,
                uid=target.uid if target else None,
                generation=target.generation if target else None,
            ),
            "desired": asked.replicas if asked and asked.direction is not Direction.PREPARE else None,
            "replicas": target.replicas if target else None,
            "ready_replicas": target.ready if target else None,
            "path": path_of(state.hosts),
            "reason": json_of(state.said.reason),
            "since": state.said.at,
            "last_request_at": state.last_request_at,
            "last_wake_at": state.last_wake_at,
            "mode": mode.value,
        }
    )


def path_of(hosts: tuple[HostFacts, ...]) -> Path:
    """Return where requests go by the resolver's last words: unknown when there are none, or they disagree."""
    match {host.allowed for host in hosts}:
        case words if words == {True}:
            return Path.RESOLVER
        case words if words == {False}:
            return Path.DIRECT
        case _:
            return Path.UNKNOWN
