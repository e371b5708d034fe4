"""Finds Kafka and its topics, however long that takes: a process that starts in an outage serves what needs neither."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import timedelta

import structlog

from consumer.adapters.kafka import KafkaPublisher
from consumer.app.log import connection_of, forbidden, partitions_of
from consumer.gateway.wiring import HealthReport
from consumer.insight.acls import Part
from consumer.ports import Clock, LogError, LogForbiddenError, LogSetupError
from consumer.settings import ALL_ROLES, Role, Settings
from consumer.worker.settings import INPUTS, OUTPUTS
from schemas.topics import Topic

log = structlog.get_logger(__name__)

_FIRST_WAIT = timedelta(milliseconds=250)
_LONGEST_WAIT = timedelta(seconds=5)


_TOPICS: Mapping[Role, Collection[Topic]] = {
    Role.WORKER: (*INPUTS, *OUTPUTS),
    Role.HANDLER: (Topic.SCALE_COMMANDS, Topic.SCALE_RESULTS, Topic.SERVICE_STATUS),
    Role.GATEWAY: (Topic.REQUEST_COUNTS,),
}
"""The keyed topics that each role has to do with."""


class KafkaReach:
    """Looks until Kafka was found once; how the parts get on with it afterwards they say themselves."""

    def __init__(
        self, settings: Settings, publisher: KafkaPublisher, clock: Clock, roles: Collection[Role] = ALL_ROLES
    ) -> None:
        self._settings = settings
        self._roles = roles
        self._publisher = publisher
        self._clock = clock
        self._partitions: int | None = None
        self.looked = asyncio.Event()
        """Set when the first look is over, whatever came of it."""
        self.found = asyncio.Event()
        self.trouble = ""
        """What was in the way at the last look."""

    def partitions(self) -> int | None:
        """The number of partitions of every keyed topic, None while nobody could ask."""
        return self._partitions

    async def find(self) -> None:
        """Look until it is found; raises LogSetupError when it is not set up as it must be."""
        wait = _FIRST_WAIT
        while not self.found.is_set():
            try:
                await self._look()
            except LogSetupError:
                raise
            except LogError as error:
                if self.trouble != str(error):
                    log.warning("kafka is away", error=str(error))
                self.trouble = str(error)
                self.looked.set()
                await self._clock.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)

    async def _look(self) -> None:
        partitions = await self._counted()
        # Opened now, so that the first request does not wait for it.
        await self._publisher.open()
        if self.trouble:
            log.info("kafka is there", partitions=partitions)
        self._partitions, self.trouble = partitions, ""
        self.found.set()
        self.looked.set()

    async def _counted(self) -> int:
        """Look at the topics of our roles only: nobody has to be shown those of others."""
        topics = {topic for role in self._roles for topic in _TOPICS[role]}
        try:
            return await partitions_of(self._settings, sorted(topics))
        except LogForbiddenError as error:
            parts = [Part(role.value) for role in sorted(self._roles)]
            # Told all at once, instead of one by one at each start.
            missing = await forbidden(self._settings, parts)
            if not missing:
                raise
            connection = connection_of(self._settings, "publisher")
            raise LogForbiddenError(f"Kafka at {connection.bootstrap}: {connection.may_not(missing)}") from error

    def health(self) -> HealthReport:
        """Ready once it was found."""
        found = self.found.is_set()
        detail = f"{self._partitions} partitions" if found else f"looking for Kafka; {self.trouble or 'no answer yet'}"
        return HealthReport(part="kafka", moving=True, ready=found, detail=detail, away=not found)
