"""Looks at everything that an installation stands on, and collects what `elasti doctor` has to say of it."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from consumer.app.log import connection_of
from consumer.app.places import ClusterPlace, Measured, Places, UnnamedError
from consumer.core.policy import Policy
from consumer.insight import doctor
from consumer.insight.acls import Part
from consumer.insight.doctor import Finding, Look
from consumer.ports import (
    Holding,
    LogError,
    LogForbiddenError,
    Output,
    Right,
    TargetError,
    TargetForbiddenError,
    TargetKey,
)
from consumer.settings import Settings, environment_name, flag_name
from schemas.topics import Topic

_PROBE: Final = b"/clock"
"""A key that no scope has: a tombstone of it switches nothing, and its append time tells what time it is there."""
_DATE_STEP: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found, what was looked at, and what no setting names."""

    findings: Sequence[Finding]
    looked: tuple[str, ...]
    unnamed: tuple[str, ...]


class Examination:
    """One look at an installation; `rights` are those that whoever asks should have."""

    def __init__(self, places: Places, settings: Settings, rights: Sequence[Right], who: str) -> None:
        self._places = places
        self._settings = settings
        self._rights = rights
        self._who = who
        self._findings: list[Finding] = []
        self._looked: list[str] = []
        self._unnamed: list[str] = []

    async def carried_out(self) -> Examined:
        """Look at one after the other; what is away is a finding, and the rest is looked at all the same."""
        await self._part("Kafka", self._log)
        await self._part("Kubernetes", self._cluster)
        return Examined(doctor.ordered(self._findings), tuple(self._looked), tuple(self._unnamed))

    async def _part(self, name: str, look: Callable[[], Awaitable[None]]) -> None:
        self._looked.append(name)
        try:
            await look()
        except UnnamedError as unnamed:
            self._looked.remove(name)
            self._unnamed.append(str(unnamed))
        except LogError as error:
            self._findings.append(doctor.told(str(error), name))
        except TargetError as error:
            self._findings.append(doctor.refused(error, name))

    async def _log(self) -> None:
        missing = await self._places.forbidden(self._settings, Part(self._who))
        connection = connection_of(self._settings, "cli")
        self._findings += doctor.of_permits(missing, self._who, connection.principal, connection.bootstrap)
        try:
            await self._topics()
        except LogForbiddenError as forbidden:
            # What this part needs is asked for above; a part is no worse for not being shown the rest.
            what, _, _ = str(forbidden).partition("; ")
            self._unnamed.append(f"topics: {what}")
        await self._beside()

    async def _topics(self) -> None:
        problems = await self._places.verify(self._settings)
        self._findings += [doctor.told(problem, "Kafka") for problem in problems]
        if not problems:
            await self._log_time()

    async def _beside(self) -> None:
        try:
            found = await self._places.beside(self._settings)
        except LogForbiddenError as forbidden:
            self._unnamed.append(f"who reads the requests: {forbidden}")
            return
        self._findings += doctor.of_others(found, self._settings.tenants)

    async def _log_time(self) -> None:
        async with self._places.log(self._settings) as log:
            sent = self._places.clock.read().now
            topic = Topic.CONTROL.under(log.prefix)
            try:
                placed = await log.publisher.publish(Output(topic, 0, _PROBE, None))
            except LogError as error:
                # Whoever may not write there can look at everything else all the same.
                self._unnamed.append(f"Kafka's time: {error}")
                return
            span = self._places.clock.read().now - sent
        self._findings += doctor.of_clock(placed.at - (sent + span / 2), "Kafka", uncertainty=span / 2)

    async def _cluster(self) -> None:
        async with self._places.cluster(self._settings) as cluster:
            # Each by itself: what may not be seen must not hide what may not be done.
            await self._part("rights", lambda: self._missing(cluster))
            await self._part("definition", lambda: self._definition(cluster))
            await self._part("clock", lambda: self._time(cluster))
            await self._part("ElastiServices", lambda: self._holdings(cluster))

    async def _missing(self, cluster: ClusterPlace) -> None:
        self._findings += doctor.of_rights(await cluster.rights.missing(list(self._wanted())), self._who)

    async def _definition(self, cluster: ClusterPlace) -> None:
        self._findings += doctor.of_definition(await cluster.survey.definition())

    async def _time(self, cluster: ClusterPlace) -> None:
        sent = self._places.clock.read().now
        theirs = await cluster.survey.time()
        span = self._places.clock.read().now - sent
        # Their time is cut to the second: on average it is half of one too early.
        offset = theirs + _DATE_STEP / 2 - (sent + span / 2)
        self._findings += doctor.of_clock(offset, "the API server", uncertainty=span / 2 + _DATE_STEP / 2)

    async def _holdings(self, cluster: ClusterPlace) -> None:
        holdings = await cluster.survey.holdings()
        looks = {one.target: await _look(cluster, one.target) for one in holdings if one.target is not None}
        self._findings += doctor.of_policies(holdings, self._settings.mode)
        self._findings += doctor.of_sharing(holdings)
        self._findings += doctor.of_targets(holdings, looks)
        try:
            self._findings += doctor.of_scalers(holdings, await cluster.survey.scalers())
        except TargetForbiddenError as forbidden:
            # The parts of an installation need no right to see what others scale; a person has it.
            self._unnamed.append(f"autoscalers of others: {forbidden}")
        await self._measurements(holdings)

    async def _measurements(self, holdings: Sequence[Holding]) -> None:
        known = [one.policy for one in holdings if one.policy is not None]
        server = self._settings.prometheus_address
        policies = [policy for policy in known if server is not None or _name_their_own(policy)]
        if len(policies) < len(known):
            without = len(known) - len(policies)
            self._unnamed.append(
                f"Prometheus for {without} {'policy that names' if without == 1 else 'policies that name'} none; set "
                f"{environment_name('prometheus_address')} or {flag_name('prometheus_address')}"
            )
        if not policies:
            return
        measured = await self._places.measure(self._settings, policies)
        self._looked.append("Prometheus")
        self._findings += _measured(measured, policies, self._settings.prometheus_address)

    def _wanted(self) -> Iterator[Right]:
        """Yield the rights where they are needed: the switchboard's at home, the others wherever policies are."""
        for right in self._rights:
            if right.resource == "configmaps":
                yield replace(right, namespace=self._settings.namespace)
                continue
            for namespace in self._settings.watch_namespaces or ("",):
                yield replace(right, namespace=namespace)


def _name_their_own(policy: Policy) -> bool:
    """Whether each of its triggers says itself which server it asks."""
    asked = (trigger.named() for trigger in policy.triggers if trigger.type == "prometheus")
    return all(known.get("serveraddress") for known in asked)


def _measured(measured: Measured, policies: Sequence[Policy], server: str | None) -> Iterator[Finding]:
    names = {str(policy.key): policy for policy in policies}
    yield from doctor.of_answers(names, {str(key): answers for key, answers in measured.answers.items()})
    if measured.evaluated_every is not None and server is not None:
        asked = [policy for policy in policies if any(trigger.type == "prometheus" for trigger in policy.triggers)]
        yield from doctor.of_evaluation(server, measured.evaluated_every, asked)


async def _look(cluster: ClusterPlace, target: TargetKey) -> Look:
    try:
        return await cluster.targets.look(target)
    except TargetError as error:
        return error
