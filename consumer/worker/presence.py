"""What a service is, in one word: awake, asleep, waking, or nobody knows."""

from consumer.core.state import ServiceState
from consumer.telemetry import Presence


def presence_of(state: ServiceState) -> Presence:
    """Say what a service is, in one word."""
    if state.target is None:
        return Presence.UNKNOWN
    if state.target.replicas == 0:
        return Presence.ASLEEP if state.wake is None else Presence.WAKING
    return Presence.AWAKE
