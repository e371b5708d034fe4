"""What a state keeps of its policy, so that a service can be woken, and given back, when the policy can not be read."""

from dataclasses import replace

from consumer.core.policy import Policy
from consumer.core.state import ServiceState, Waking


def waking_of(policy: Policy) -> Waking:
    """Return what has to be kept of a policy; triggers, and with them the secrets in their headers, are not."""
    return Waking(
        min_replicas=policy.min_replicas,
        wake_replicas=policy.wake_replicas,
        start_timeout=policy.start_timeout,
        mode=policy.mode,
        pause=policy.pause,
        autoscaler=policy.autoscaler,
    )


def remembered(state: ServiceState) -> Policy | None:
    """Return what a state tells of its policy, enough for `respond`, `retry` and `release`, but for no sleep.

    None when it never had one.
    """
    if state.policy_uid is None or state.target_ref is None:
        return None
    plain = Policy(
        key=state.key,
        name=state.key.name,
        uid=state.policy_uid,
        hash=state.policy_hash or "",
        created_at=state.first_seen_at,
        target=state.target_ref,
        triggers=(),
    )
    kept = state.waking
    if kept is None:
        return plain
    return replace(
        plain,
        min_replicas=kept.min_replicas,
        wake_replicas=kept.wake_replicas,
        start_timeout=kept.start_timeout,
        mode=kept.mode,
        pause=kept.pause,
        autoscaler=kept.autoscaler,
    )
