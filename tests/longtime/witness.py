"""The oracle for an installation whose log, or whose Prometheus, is away for a while."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tests.longtime.oracle import WINDOW, Oracle, Service
from tests.longtime.sights import THRESHOLD, Prometheus
from tests.longtime.trace import Trace


class Witness(Oracle):
    """Knows beside what the oracle knows: what the metrics say, since when there was somebody to see, and the dark."""

    def __init__(self, trace: Trace, end: datetime, prometheus: Prometheus) -> None:
        super().__init__(trace.cycle, trace.start, end)
        self._prometheus = prometheus
        self._away_since: datetime | None = None
        self._counted: dict[str, datetime] = {}

    def requested(self, name: str, now: datetime) -> None:
        """Somebody asks for it, and the log has that."""
        self._counted[name] = now
        super().requested(name, now)

    def knocked(self, name: str, now: datetime) -> None:
        """Somebody asks for it without the log: it is in use, but nobody counts that."""
        super().requested(name, now)

    def stopped(self) -> None:
        """Nobody sees anything from now on."""
        super().stopped()
        self._away_since = self._prometheus.clock.now

    def started(self, now: datetime) -> None:
        """Somebody does again, and sees for the first time what came meanwhile."""
        super().started(now)
        since, self._away_since = self._away_since, None
        if since is None:
            return
        for service in self._services.values():
            if service.seen_at >= since:
                service.seen_at = now

    def _reasons_to_stay(self, service: Service) -> Sequence[tuple[datetime | None, timedelta, str]]:
        reasons, dark = super()._reasons_to_stay(service), self._prometheus.dark
        now = self._prometheus.clock.now
        if service.plan.counted:
            # Before that nobody can say how many came in a whole window.
            return (*reasons, (service.seen_at, WINDOW, "counted since"))
        if dark is None or now < dark.begins:
            return reasons
        # Prometheus was up for a whole cooldown.
        return (*reasons, (dark.ends, service.plan.cooldown, "Prometheus was dark until"))

    def _is_busy(self, service: Service, now: datetime) -> bool:
        if not service.plan.counted:
            return self._prometheus.load(service.plan, now) >= THRESHOLD
        counted = self._counted.get(service.plan.name)
        return counted is not None and now <= counted + WINDOW
