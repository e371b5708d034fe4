"""What a run came to, for people and for machines."""

from dataclasses import replace
from datetime import timedelta

import orjson

from consumer.demo.summary import Summary
from consumer.insight.journeys import Spread, Stage

MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)

SUMMARY = Summary(
    ran=100 * SECOND,
    wakes=22,
    sleeps=1,
    failures=0,
    deaths=1,
    spreads={
        Stage.DECIDED: Spread(21, 3 * MS, 11 * MS),
        Stage.ACCEPTED: Spread(21, 38 * MS, 266 * MS),
        Stage.READY: Spread(21, 1200 * MS, 6010 * MS),
        Stage.TOTAL: Spread(21, 1230 * MS, 6140 * MS),
    },
    used=640 * SECOND,
    always_on=1200 * SECOND,
)


def test_the_lines_are_aligned_and_whole() -> None:
    assert SUMMARY.lines() == [
        "ran 1:40: 22 wakes, 1 sleep, 0 failed commands, 1 dead worker",
        "pod-seconds saved: 560 of 1200 (47%)",
        "wake latency over 21 finished wakes:",
        "  request in the log → decided         p50     3 ms   p99    11 ms",
        "  decided → accepted by the cluster    p50    38 ms   p99   266 ms",
        "  accepted → first replica ready       p50   1.20 s   p99   6.01 s",
        "  request in the log → ready           p50   1.23 s   p99   6.14 s",
    ]


def test_without_a_finished_wake_it_says_what_to_do() -> None:
    nothing = replace(SUMMARY, spreads={}, used=timedelta(), always_on=timedelta())
    assert nothing.lines()[1:] == [
        "pod-seconds saved: 0 of 0 (0%)",
        "no wake was finished: run it longer, or press w",
    ]


def test_machines_get_counts_and_milliseconds() -> None:
    # Through the encoder that the command uses: it takes no keys but plain strings.
    assert orjson.loads(orjson.dumps(SUMMARY.as_json())) == {
        "seconds": 100.0,
        "wakes": 22,
        "sleeps": 1,
        "failures": 0,
        "workerDeaths": 1,
        "podSeconds": {"used": 640.0, "alwaysOn": 1200.0},
        "wakeLatencyMs": {
            "decided": {"count": 21, "p50": 3.0, "p99": 11.0},
            "accepted": {"count": 21, "p50": 38.0, "p99": 266.0},
            "ready": {"count": 21, "p50": 1200.0, "p99": 6010.0},
            "total": {"count": 21, "p50": 1230.0, "p99": 6140.0},
        },
    }
