"""The scaler type `business-hours`: busy between two times of day on some days of the week, idle otherwise."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from consumer.scalers import Answer, Assignment, Defaults, Evidence, Faults, No, Scaler, Trigger, Yes

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Hours:
    """From `start` up to, not including, `end`, on these days (0 = Monday), on the clocks of `zone`."""

    zone: ZoneInfo
    start: time
    end: time
    days: frozenset[int]

    def hold(self, now: datetime) -> bool:
        """Whether `now` lies inside; hours that end before they start run past midnight."""
        local = now.astimezone(self.zone)
        at = local.time()
        if self.start <= self.end:
            return local.weekday() in self.days and self.start <= at < self.end
        # The hours after midnight belong to the day before.
        yesterday = (local.weekday() - 1) % len(DAYS)
        return (local.weekday() in self.days and at >= self.start) or (yesterday in self.days and at < self.end)


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """One trigger of one service. Nothing is asked of anybody, so no answer is ever Unknown."""

    hours: Hours

    async def is_healthy(self, now: datetime) -> Answer:
        """Yes: the clock is judged elsewhere."""
        return Yes(Evidence(1.0, None, "calendar"), now)

    async def should_scale_to_zero(self, now: datetime) -> Answer:
        """Yes outside of the business hours."""
        return self._answer(now, yes=not self.hours.hold(now))

    async def should_scale_from_zero(self, now: datetime) -> Answer:
        """Yes inside of the business hours."""
        return self._answer(now, yes=self.hours.hold(now))

    async def close(self) -> None:
        """Nothing is held."""

    def _answer(self, now: datetime, *, yes: bool) -> Answer:
        local = now.astimezone(self.hours.zone)
        evidence = Evidence(float(self.hours.hold(now)), 1.0, f"{local:%a %H:%M} in {self.hours.zone.key}")
        return Yes(evidence, now) if yes else No(evidence, now)


class BusinessHoursType:
    """What the entry point names; it is made once."""

    def check(self, trigger: Trigger, defaults: Defaults) -> Faults:  # noqa: ARG002 - part of the contract
        """Say everything that is wrong with the metadata; keys come in lower case."""
        named = trigger.named()
        faults = []
        if _zone(named.get("timezone", "UTC")) is None:
            faults.append(("metadata.timezone", f'unknown: "{named["timezone"]}"; write one like "Europe/Berlin"'))
        faults += [
            (f"metadata.{key}", f'not a time of day: "{named.get(key, "")}"; write one like "08:00"')
            for key in ("from", "to")
            if _time(named.get(key, "")) is None
        ]
        if not _days(named.get("days", "")) <= set(DAYS):
            faults.append(("metadata.days", f"write some of {','.join(DAYS)}"))
        return faults

    def create(self, assignment: Assignment) -> Scaler:
        """Make the scaler; only triggers that passed the check come here."""
        named = assignment.trigger.named()
        zone, start, end = _zone(named.get("timezone", "UTC")), _time(named["from"]), _time(named["to"])
        if zone is None or start is None or end is None:
            raise ValueError("timezone, from and to must pass the check first")
        days = frozenset(DAYS.index(day) for day in _days(named.get("days", "")))
        return BusinessHours(Hours(zone, start, end, days))

    def window(self, trigger: Trigger) -> timedelta | None:  # noqa: ARG002 - part of the contract
        """Need no requests counted."""
        return None


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _time(text: str) -> time | None:
    try:
        return time.fromisoformat(text)
    except ValueError:
        return None


def _days(text: str) -> set[str]:
    """The days by name; none named means all of them."""
    return {day.strip().lower() for day in text.split(",") if day.strip()} or set(DAYS)
