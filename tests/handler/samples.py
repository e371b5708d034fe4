"""Commands, views and policies as the tests need them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from consumer.core.inputs import RecordCause
from consumer.core.outcome import Command, Expect, derived_id
from consumer.core.policy import Policy
from consumer.core.reasons import Code, because
from consumer.core.service import Direction, ServiceKey, TargetRef
from consumer.ports import TargetKey, TargetView

T0 = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOWEVER_LATE = timedelta.max
"""For sleeps that were decided at `T0` and are carried out today: what protects them then has to hold by itself."""
MS = timedelta(milliseconds=1)

WEB = ServiceKey("shop", "web")
REF = TargetRef("apps/v1", "Deployment", "web")
TARGET = TargetKey("shop", REF)
OTHER_REF = TargetRef("apps/v1", "Deployment", "web-next")


def up(seq: int = 1, *, replicas: int = 1, key: ServiceKey = WEB, target: TargetRef | None = None) -> Command:
    """A wake."""
    cause = RecordCause("elasti.request-counts", 0, seq)
    return Command(
        id=derived_id("command", key, cause),
        seq=seq,
        key=key,
        target=target or TargetRef("apps/v1", "Deployment", key.name),
        direction=Direction.UP,
        replicas=replicas,
        expect=None,
        reason=because(Code.REQUEST, count=1),
        autoscaler=None,
        policy_uid="policy-1",
        policy_hash="abc",
        triggered_at=T0,
        decided_at=T0 + 5 * MS,
        cause=cause,
    )


def zero(seq: int, view: TargetView, *, key: ServiceKey = WEB) -> Command:
    """A sleep, decided when the target was as in `view`."""
    expect = Expect(view.uid, view.generation, view.replicas)
    return replace(
        up(seq, key=key),
        direction=Direction.ZERO,
        replicas=0,
        expect=expect,
        reason=because(Code.IDLE, cooldown="15m00s"),
    )


def prepare(seq: int, *, key: ServiceKey = WEB) -> Command:
    """Asks the resolver to take the traffic."""
    return replace(up(seq, key=key), direction=Direction.PREPARE, replicas=0, reason=because(Code.AWAITING_RESOLVER))


def seen(
    *, replicas: int = 1, ready: int = 0, generation: int = 7, uid: str = "u1", version: str = "100"
) -> TargetView:
    """The target as the cluster shows it."""
    return TargetView(TARGET, uid, generation, version, replicas, ready, T0)


def policy(key: ServiceKey = WEB, *, target: TargetRef | None = None) -> Policy:
    """A policy for a service, and the workload of the same name."""
    return Policy(
        key=key,
        name=key.name,
        uid=f"policy-{key.name}",
        hash="abc",
        created_at=T0,
        target=target or TargetRef("apps/v1", "Deployment", key.name),
        triggers=(),
    )
