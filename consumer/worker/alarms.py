"""When which service's wake is due again: a heap, so that thousands that wait cost nothing."""

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import count

from consumer.core.service import ServiceKey


class Alarms:
    """At most one alarm per service counts, the last that was set; older ones ring into the void."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, ServiceKey]] = []
        self._set: dict[ServiceKey, datetime] = {}
        self._order = count()

    def set(self, key: ServiceKey, due: datetime | None) -> None:
        """Ring for the service at `due`, or not at all."""
        if due is None:
            self._set.pop(key, None)
        elif self._set.get(key) != due:
            self._set[key] = due
            heapq.heappush(self._heap, (due, next(self._order), key))

    def ring(self, now: datetime) -> Iterator[ServiceKey]:
        """Yield every service whose time has come, each once, by rising time."""
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._set.get(key) == due:
                del self._set[key]
                yield key
