"""What a demo run came to: wakes, sleeps, latencies by stage, pod time saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from consumer.demo.show import many, short, short_clock
from consumer.insight.journeys import Spread, Stage

_STAGES = {
    Stage.DECIDED: "request in the log → decided",
    Stage.ACCEPTED: "decided → accepted by the cluster",
    Stage.READY: "accepted → first replica ready",
    Stage.TOTAL: "request in the log → ready",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run; `used` and `always_on` are pod time, as it was and had nothing ever slept."""

    ran: timedelta
    wakes: int
    sleeps: int
    failures: int
    deaths: int
    spreads: Mapping[Stage, Spread]
    used: timedelta
    always_on: timedelta

    def lines(self) -> Sequence[str]:
        """Write it for people."""
        saved = self.always_on - self.used
        share = saved / self.always_on if self.always_on else 0.0
        head = [
            f"ran {short_clock(self.ran)}: {many(self.wakes, 'wake')}, {many(self.sleeps, 'sleep')}, "
            f"{many(self.failures, 'failed command')}, {many(self.deaths, 'dead worker')}",
            f"pod-seconds saved: {saved.total_seconds():.0f} of {self.always_on.total_seconds():.0f} ({share:.0%})",
        ]
        if not self.spreads:
            return [*head, "no wake was finished: run it longer, or press w"]
        table = [
            f"  {_STAGES[stage]:<36} p50 {short(known.p50):>8}   p99 {short(known.p99):>8}"
            for stage, known in self.spreads.items()
        ]
        return [*head, f"wake latency over {many(self.spreads[Stage.TOTAL].count, 'finished wake')}:", *table]

    def as_json(self) -> Mapping[str, object]:
        """Write it for machines: counts, and milliseconds."""
        return {
            "seconds": self.ran.total_seconds(),
            "wakes": self.wakes,
            "sleeps": self.sleeps,
            "failures": self.failures,
            "workerDeaths": self.deaths,
            "podSeconds": {"used": self.used.total_seconds(), "alwaysOn": self.always_on.total_seconds()},
            "wakeLatencyMs": {
                stage.value: {"count": known.count, "p50": _ms(known.p50), "p99": _ms(known.p99)}
                for stage, known in self.spreads.items()
            },
        }


def _ms(length: timedelta) -> float:
    return length / timedelta(milliseconds=1)
