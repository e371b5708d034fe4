"""Whether the resolver has taken the traffic of every host, so that the last replica can go."""

from datetime import datetime, timedelta
from typing import Final

from consumer.core.state import ServiceState

HOST_REMEMBERED: Final = timedelta(hours=24)
"""A host that was not heard from for longer than this does not have to agree to a sleep any more."""


def hosts_to_come(state: ServiceState, now: datetime) -> tuple[str, ...] | None:
    """Return the hosts whose traffic the resolver has not taken since the prepare; None without prepare or hosts."""
    heard = [host for host in state.hosts if now - host.at <= HOST_REMEMBERED]
    if state.prepare is None or not heard:
        return None
    since = state.prepare.since
    return tuple(sorted(host.incoming for host in heard if not host.allowed or host.at < since))
