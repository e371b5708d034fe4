"""Weeks in minutes: `python -m tests.longtime --services 1000 --days 30 --seed 1`."""

import argparse
import sys
import time
from datetime import datetime, timedelta

from consumer.telemetry import configure_logging
from tests.longtime.drive import Deed, Drive
from tests.longtime.oracle import Summary
from tests.longtime.trace import DAY, DEFAULT_START, HOUR, MINUTE, Trace, draw


def deeds_of(trace: Trace) -> list[Deed]:
    """A worker is killed every third day, stopped in between, and once away for longer than a request waits."""
    deeds = []
    for day in range(1, trace.days):
        at = trace.start + day * DAY + 11 * HOUR + 3 * MINUTE
        away = 15 * MINUTE if day % 10 == 5 else timedelta(seconds=day % 7 * 20)
        deeds += [Deed(at, "kill" if day % 3 else "stop"), Deed(at + away, "start")]
    return deeds


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run it and print what came of it; 1 when the oracle held something against it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cycle", type=int, default=5, metavar="MINUTES", help="the polling interval")
    parser.add_argument("--partitions", type=int, default=2)
    chosen = parser.parse_args()
    configure_logging("json", "error")
    trace = draw(
        chosen.seed, chosen.services, start=DEFAULT_START, days=chosen.days, cycle=timedelta(minutes=chosen.cycle)
    )
    drive = Drive(trace, partitions=chosen.partitions, deeds=deeds_of(trace))
    begun = time.monotonic()

    def progress(now: datetime, so_far: Summary) -> None:
        _say(f"{now:%a %d %b}  {time.monotonic() - begun:6.0f} s  {_figures(so_far)}")

    summary = drive.run(progress)
    took = time.monotonic() - begun
    what = f"{chosen.services} services, {chosen.days} days, seed {chosen.seed}"
    _say(f"{what}: {took:.0f} s ({time.process_time():.0f} s of a core)")
    _say(_figures(summary))
    ends = f"{drive.kills} kills, {drive.stops} polite stops"
    _say(f"{ends}; {summary.budget_holds} cycles in which the sleep budget was used up")
    for violation in summary.violations:
        _say(str(violation))
    return 1 if summary.violations else 0


def _figures(summary: Summary) -> str:
    return (
        f"{summary.requests} requests, {summary.wakes} wakes, {summary.sleeps} sleeps, "
        f"{summary.asleep:.1%} of the time asleep, {len(summary.violations)} violations"
    )


if __name__ == "__main__":
    sys.exit(main())
